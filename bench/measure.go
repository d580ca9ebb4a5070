package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// sample is one measured run.
type sample struct {
	wall, cpu time.Duration
	server    time.Duration // CPU of the Postgres server meanwhile; 0 without one
	memory    int64         // peak of the whole process tree, sum of Pss, in bytes
	rows      int64         // written, as far as the contestant says
}

// contestant is one of those that do the same work.
type contestant struct {
	name string
	// prepare is not measured.
	prepare func(context.Context) error
	run     func(context.Context) (sample, error)
}

// ratio compares two contestants, by their places.
type ratio struct {
	a, b int
	// aim is what wall time should be at most; 0 where there is none.
	aim float64
}

// match is some contestants and what is learnt from them.
type match struct {
	contestants []contestant
	ratios      []ratio
	server      *pair // whose CPU counts; may be nil
}

// compete runs all contestants turn by turn and returns their samples.
func (m match) compete(ctx context.Context, c config) ([][]sample, error) {
	all := make([][]sample, len(m.contestants))
	for round := range c.rounds {
		for turn := range m.contestants {
			// Another one begins in each round.
			i := (turn + round) % len(m.contestants)
			s, err := m.once(ctx, m.contestants[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.contestants[i].name, err)
			}
			fmt.Printf("  round %d  %-50s %7.2fs wall %7.2fs CPU %7.2fs server %5d MiB\n", round+1, m.contestants[i].name,
				s.wall.Seconds(), s.cpu.Seconds(), s.server.Seconds(), s.memory>>20)
			all[i] = append(all[i], s)
		}
	}
	return all, nil
}

func (m match) once(ctx context.Context, c contestant) (sample, error) {
	if c.prepare != nil {
		if err := c.prepare(ctx); err != nil {
			return sample{}, fmt.Errorf("prepare: %w", err)
		}
	}
	syscall.Sync() // what the one before wrote is not written to the disk in this one's time
	if m.server == nil {
		return c.run(ctx)
	}
	before := treeCPU(m.server.server.PID())
	s, err := c.run(ctx)
	s.server = treeCPU(m.server.server.PID()) - before
	return s, err
}

// report renders medians and ratios.
func (m match) report(all [][]sample) string {
	var b strings.Builder
	b.WriteString("| | wall | CPU | server's CPU | memory |\n| --- | --- | --- | --- | --- |\n")
	for i, c := range m.contestants {
		fmt.Fprintf(&b, "| %s | %.2f s | %.2f s | %s | %.0f MiB |\n", c.name, median(all[i], wall), median(all[i], cpu),
			map[bool]string{true: fmt.Sprintf("%.2f s", median(all[i], server)), false: "–"}[m.server != nil], median(all[i], memory)/(1<<20))
	}
	if len(m.ratios) > 0 {
		b.WriteString("\n| ratio | wall | CPU with the server's | memory | aim (wall) |\n| --- | --- | --- | --- | --- |\n")
	}
	for _, r := range m.ratios {
		aim := "–"
		if r.aim > 0 {
			aim = fmt.Sprintf("%.2fx", r.aim)
		}
		fmt.Fprintf(&b, "| %s / %s | %.2fx | %.2fx | %.2fx | %s |\n", m.contestants[r.a].name, m.contestants[r.b].name,
			paired(all[r.a], all[r.b], wall), paired(all[r.a], all[r.b], func(s sample) float64 { return cpu(s) + server(s) }),
			paired(all[r.a], all[r.b], memory), aim)
	}
	return b.String()
}

func wall(s sample) float64   { return s.wall.Seconds() }
func cpu(s sample) float64    { return s.cpu.Seconds() }
func server(s sample) float64 { return s.server.Seconds() }
func memory(s sample) float64 { return float64(s.memory) }

// paired is the median of the rounds' ratios: a machine that slows down for a while slows both down.
func paired(a, b []sample, of func(sample) float64) float64 {
	values := make([]float64, len(a))
	for i := range a {
		values[i] = of(a[i]) / of(b[i])
	}
	return middle(values)
}

func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return middle(values)
}

func middle(values []float64) float64 {
	slices.Sort(values)
	m := len(values) / 2
	if len(values)%2 == 1 {
		return values[m]
	}
	return (values[m-1] + values[m]) / 2
}

// measure runs commands side by side and waits for all. Their CPU includes that of the children that they waited for. Started is called once
// all have started, or one has not.
func measure(started func(), cmds ...*exec.Cmd) (sample, error) {
	start := time.Now()
	said := make([]bytes.Buffer, len(cmds)) // each its own: they are written side by side
	var s sample
	var failed error
	var pids []int
	for i, cmd := range cmds {
		cmd.Stderr = &said[i]
		if failed = cmd.Start(); failed != nil {
			break
		}
		pids = append(pids, cmd.Process.Pid)
	}
	started()
	watch := watchTree(pids)
	for _, cmd := range cmds {
		if cmd.Process == nil {
			continue
		}
		if err := cmd.Wait(); err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", cmd.Args[0], err)
		}
		if cmd.ProcessState != nil {
			s.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		}
	}
	s.wall = time.Since(start)
	s.memory = watch.end()
	if failed != nil {
		for i := range said {
			failed = fmt.Errorf("%w\n%s", failed, said[i].Bytes())
		}
		return s, failed
	}
	return s, nil
}

// runDrover runs a job file in a directory with so many workers, and takes the rows from its summary.
func (c config) runDrover(ctx context.Context, dir, job string, workers int, env []string, flags ...string) (sample, error) {
	args := append([]string{"run", job, "--new", "--keep-committed", "--json", "--quiet", "--workers", fmt.Sprint(workers)}, flags...)
	cmd := exec.CommandContext(ctx, c.drover, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout = &out
	s, err := measure(func() {}, cmd)
	if err != nil {
		return s, err
	}
	var summary struct {
		RowsOut int64 `json:"rows_out"`
	}
	if err := json.Unmarshal(out.Bytes(), &summary); err != nil {
		return s, fmt.Errorf("read the summary: %w", err)
	}
	s.rows = summary.RowsOut
	return s, nil
}
