package monitor

import (
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// bar is the view on a terminal: lines, and below them a bar that is redrawn.
type bar struct {
	out  *os.File
	mpb  *mpb.Progress
	bar  *mpb.Bar
	last atomic.Pointer[Progress]
}

func newBar(out *os.File) *bar { return &bar{out: out} }

func (b *bar) line(text string) {
	if b.mpb != nil {
		if _, err := b.mpb.Write([]byte(text + "\n")); err == nil {
			return
		}
	}
	_, _ = io.WriteString(b.out, text+"\n")
}

func (b *bar) progress(p Progress) {
	b.last.Store(&p)
	if b.mpb == nil {
		b.start()
	}
	if b.bar != nil {
		// A total that grows when chunks are split, and a bar that never completes by itself: close ends it.
		b.bar.SetTotal(max(p.Total, 1), false)
		b.bar.SetCurrent(p.Finished)
	}
}

func (b *bar) start() {
	b.mpb = mpb.New(mpb.WithOutput(b.out), mpb.WithRefreshRate(200*time.Millisecond))
	style := mpb.BarStyle().Lbound("").Rbound("").Filler("█").Tip("▌").Padding(" ")
	text := func(f func(Progress) string) decor.Decorator {
		return decor.Any(func(decor.Statistics) string { return f(*b.last.Load()) })
	}
	var err error
	b.bar, err = b.mpb.Add(0, style.Build(),
		mpb.BarWidth(26),
		mpb.PrependDecorators(decor.Name("  finished  ")),
		mpb.AppendDecorators(
			text(func(p Progress) string { return " " + p.chunks() + "   " + p.figures() }),
		))
	if err != nil {
		b.bar = nil
	}
}

func (b *bar) close() {
	if b.mpb == nil {
		return
	}
	if b.bar != nil {
		b.bar.Abort(false)
	}
	b.mpb.Wait()
	b.mpb, b.bar = nil, nil
}
