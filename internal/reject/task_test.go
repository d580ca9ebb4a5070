package reject

import (
	"context"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/internal/step"
)

// Two rows may fail with one message and different values, as those do that break one CHECK.
func TestAReasonShowsItsOwnRowsValue(t *testing.T) {
	s := open(t)
	k, _, err := keep(t.Context(), s, sql("SELECT range AS v, 0::BIGINT AS "+step.Tag+" FROM range(2)"), drover.Schema{{Name: "v", Type: "BIGINT"}}, 1)
	if err != nil {
		t.Fatal(err)
	}
	task := Task{
		Attempt: connector.Attempt{Chunks: []connector.Chunk{{Key: "a"}}},
		Explain: func(_ context.Context, _ string, why *drover.Error) *drover.Error { return why },
	}
	found := []culprit{
		{row: 0, why: &drover.Error{Kind: drover.Data, Code: "23514", Message: "violates check constraint", Sample: "39, 0"}},
		{row: 1, why: &drover.Error{Kind: drover.Data, Code: "23514", Message: "violates check constraint", Sample: "78, 0"}},
	}
	if _, err := task.stage(t.Context(), s, k, found, false); err != nil {
		t.Fatal(err)
	}
	rows, err := s.Texts(t.Context(), "SELECT reason FROM "+stagedTable)
	if err != nil {
		t.Fatal(err)
	}
	for i, x := range found {
		if got, want := *rows[i][0], reason(x.why); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
