package exact_test

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"pgregory.net/rapid"

	"github.com/droverdata/drover/internal/exact"
)

func TestIntegersAreAddedUpBeyondTheirOwnRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a exact.Integers
		want := new(big.Int)
		for range rapid.IntRange(0, 20).Draw(t, "n") {
			lower := rapid.SampledFrom([]uint64{0, 1, math.MaxUint64, 1 << 63, rapid.Uint64().Draw(t, "l")}).Draw(t, "lower")
			upper := rapid.SampledFrom([]uint64{0, 1, math.MaxUint64, 1 << 63, 1<<63 - 1, rapid.Uint64().Draw(t, "u")}).Draw(t, "upper")
			word := new(big.Int).SetUint64(lower)
			if rapid.Bool().Draw(t, "signed") {
				a.Add(lower, int64(upper))
				want.Add(want, word.Add(word, new(big.Int).Lsh(big.NewInt(int64(upper)), 64)))
			} else {
				a.AddUnsigned(lower, upper)
				want.Add(want, word.Add(word, new(big.Int).Lsh(new(big.Int).SetUint64(upper), 64)))
			}
		}
		if got := a.Sum(0).String(); got != want.String() {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func TestFloatsAreAddedUpExactlyInAnyOrder(t *testing.T) {
	floats := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{
		0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64, math.MaxFloat64, -math.MaxFloat64, 0.1, 1e16, 1, -1,
		0x1p-1022, 0x1p-1022 - math.SmallestNonzeroFloat64,
	}))
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOfN(floats, 0, 50).Draw(t, "numbers")
		want := new(big.Rat)
		var forth, back exact.Floats
		for i, x := range numbers {
			want.Add(want, new(big.Rat).SetFloat64(x))
			forth.Add(x)
			back.Add(numbers[len(numbers)-1-i])
		}
		text, err := forth.Sum().MarshalText()
		if err != nil || string(text) != want.RatString() {
			t.Fatalf("got %s, want %s", text, want.RatString())
		}
		if !forth.Sum().Equal(back.Sum()) {
			t.Fatal("the order counts")
		}
	})
}

func TestWhatIsNoFiniteNumberIsCounted(t *testing.T) {
	var a, b exact.Floats
	for _, x := range []float64{1.5, math.NaN(), math.Inf(1), math.Inf(-1), math.NaN()} {
		a.Add(x)
	}
	b.Add(1.5)
	if got := a.Sum().String(); got != "1.5 and 2 NaN and 1 Infinity and 1 -Infinity" {
		t.Error(got)
	}
	if a.Sum().Equal(b.Sum()) {
		t.Error("a NaN that is lost shows in no sum")
	}
}

func TestSumsTravelAsTexts(t *testing.T) {
	var money, odd exact.Integers
	money.Add(1234, 0)
	var f exact.Floats
	f.Add(0.1)
	f.Add(math.NaN())
	for _, s := range []exact.Sum{{}, money.Sum(2), odd.Sum(0), f.Sum(), money.Sum(2).Plus(f.Sum())} {
		data, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back exact.Sum
		if err := json.Unmarshal(data, &back); err != nil || !back.Equal(s) {
			t.Errorf("%s came back as %s: %v", s, back, err)
		}
	}
	for _, bad := range []string{"", "x", "1 2", "1 x 0 0", "1/0"} {
		if err := new(exact.Sum).UnmarshalText([]byte(bad)); err == nil {
			t.Errorf("%q is a sum", bad)
		}
	}
}

func TestASumShowsTheDigitsThatItHas(t *testing.T) {
	var a, b exact.Integers
	a.Add(123450, 0)
	b.Add(123400, 0)
	var f exact.Floats
	f.Add(0.1)
	for got, want := range map[string]string{
		a.Sum(2).String():                        "1234.5",
		f.Sum().String():                         "about 0.10000000000000000555",
		a.Sum(2).Less(b.Sum(2)):                  "0.5 more",
		b.Sum(2).Less(a.Sum(2)):                  "0.5 less",
		a.Sum(2).Less(a.Sum(2)):                  "",
		(exact.Sum{}).Plus(exact.Sum{}).String(): "0",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
