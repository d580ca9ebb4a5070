package monitor

import "time"

// window is how far back the rates of a Meter look: long enough to be steady, short enough to show a change.
const window = 8 * time.Second

// Meter fills in the rates and the time left of successive Progress events. The zero value is ready. It is not for concurrent use.
type Meter struct {
	samples []sample
}

type sample struct {
	at          time.Time
	rows, bytes int64
	done        float64
}

// Measure returns p with its rates and its time left, as of now. Done is how much of the run is done, from 0 to 1, by whatever
// measure fits best (bytes, rows or chunks); negative when unknown.
func (m *Meter) Measure(p Progress, done float64, now time.Time) Progress {
	m.samples = append(m.samples, sample{now, p.RowsIn, p.BytesIn, done})
	for len(m.samples) > 2 && now.Sub(m.samples[1].at) >= window {
		m.samples = m.samples[1:]
	}
	first := m.samples[0]
	seconds := now.Sub(first.at).Seconds()
	if seconds <= 0 {
		return p
	}
	// A failed attempt takes its rows back, so differences can be negative.
	p.RowsPerSecond = max(0, float64(p.RowsIn-first.rows)/seconds)
	p.BytesPerSecond = max(0, float64(p.BytesIn-first.bytes)/seconds)
	if rate := (done - first.done) / seconds; first.done >= 0 && rate > 0 && done < 1 {
		p.Left = time.Duration((1 - done) / rate * float64(time.Second))
	}
	return p
}
