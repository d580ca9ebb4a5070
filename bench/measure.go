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
	memory    int64 // bytes
	rows      int64 // written, as far as the contestant says
}

// contestant is one of those that do the same work.
type contestant struct {
	name string
	// prepare is not measured.
	prepare func(context.Context) error
	run     func(context.Context) (sample, error)
}

// compete runs all contestants turn by turn and returns their samples.
func compete(ctx context.Context, c config, contestants []contestant) ([][]sample, error) {
	all := make([][]sample, len(contestants))
	for round := range c.rounds {
		for turn := range contestants {
			// Another one begins in each round.
			i := (turn + round) % len(contestants)
			s, err := once(ctx, contestants[i])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", contestants[i].name, err)
			}
			fmt.Printf("  round %d  %-46s %7.2fs wall %7.2fs CPU\n", round+1, contestants[i].name, s.wall.Seconds(), s.cpu.Seconds())
			all[i] = append(all[i], s)
		}
	}
	return all, nil
}

func once(ctx context.Context, c contestant) (sample, error) {
	if c.prepare != nil {
		if err := c.prepare(ctx); err != nil {
			return sample{}, fmt.Errorf("prepare: %w", err)
		}
	}
	return c.run(ctx)
}

// table renders medians, and ratios to the last contestant.
func table(contestants []contestant, all [][]sample) string {
	var b strings.Builder
	b.WriteString("| | wall | CPU | memory | wall, to the last line |\n| --- | --- | --- | --- | --- |\n")
	base := median(all[len(all)-1], func(s sample) float64 { return s.wall.Seconds() })
	for i, c := range contestants {
		wall := median(all[i], func(s sample) float64 { return s.wall.Seconds() })
		cpu := median(all[i], func(s sample) float64 { return s.cpu.Seconds() })
		memory := median(all[i], func(s sample) float64 { return float64(s.memory) })
		fmt.Fprintf(&b, "| %s | %.2f s | %.2f s | %.0f MiB | %.2fx |\n", c.name, wall, cpu, memory/(1<<20), wall/base)
	}
	return b.String()
}

func median(samples []sample, of func(sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	slices.Sort(values)
	middle := len(values) / 2
	if len(values)%2 == 1 {
		return values[middle]
	}
	return (values[middle-1] + values[middle]) / 2
}

// measure runs commands side by side and waits for all. Their CPU includes that of the children that they waited for. Started is called once
// all have started, or one has not.
func measure(started func(), cmds ...*exec.Cmd) (sample, error) {
	start := time.Now()
	said := make([]bytes.Buffer, len(cmds)) // each its own: they are written side by side
	var s sample
	var failed error
	for i, cmd := range cmds {
		cmd.Stderr = &said[i]
		if failed = cmd.Start(); failed != nil {
			break
		}
	}
	started()
	for _, cmd := range cmds {
		if cmd.Process == nil {
			continue
		}
		if err := cmd.Wait(); err != nil && failed == nil {
			failed = fmt.Errorf("%s: %w", cmd.Args[0], err)
		}
		if cmd.ProcessState != nil {
			s.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
			if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
				s.memory = max(s.memory, ru.Maxrss*1024)
			}
		}
	}
	s.wall = time.Since(start)
	if failed != nil {
		for i := range said {
			failed = fmt.Errorf("%w\n%s", failed, said[i].Bytes())
		}
		return s, failed
	}
	return s, nil
}

// runDrover runs a job file in a directory, and takes rows and memory from its summary.
func (c config) runDrover(ctx context.Context, dir, job string, env ...string) (sample, error) {
	cmd := exec.CommandContext(ctx, c.drover, "run", job, "--new", "--keep-committed", "--json", "--quiet", "--workers", fmt.Sprint(c.threads))
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout = &out
	s, err := measure(func() {}, cmd)
	if err != nil {
		return s, err
	}
	var summary struct {
		RowsOut int64 `json:"rows_out"`
		Peak    int64 `json:"peak_memory_bytes"`
	}
	if err := json.Unmarshal(out.Bytes(), &summary); err != nil {
		return s, fmt.Errorf("read the summary: %w", err)
	}
	s.rows, s.memory = summary.RowsOut, summary.Peak
	return s, nil
}
