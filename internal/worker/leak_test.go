package worker_test

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"testing"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
	"github.com/droverdata/drover/connector/all"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/connector/postgres"
	"github.com/droverdata/drover/internal/bind"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/pgtest"
	"github.com/droverdata/drover/internal/plan"
	"github.com/droverdata/drover/internal/protocol"
	"github.com/droverdata/drover/internal/worker"
	"github.com/jackc/pgx/v5"
)

func TestMain(m *testing.M) { os.Exit(pgtest.Main(m)) }

// tasks is how many tasks the worker executes: enough to see a leak of 16 KiB a task, or as many as DROVER_SOAK says (make soak).
func tasks(t *testing.T) int {
	t.Helper()
	text := os.Getenv("DROVER_SOAK")
	if text == "" {
		return 300
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("DROVER_SOAK: %v", err)
	}
	return n
}

// TestTheMemoryOfAWorkerDoesNotGrowWithItsTasks: a worker lives as long as its run.
func TestTheMemoryOfAWorkerDoesNotGrowWithItsTasks(t *testing.T) {
	const rows = 50
	for name, c := range map[string]func(t *testing.T) (drover.Source, drover.Sink){
		"postgres": func(t *testing.T) (drover.Source, drover.Sink) {
			url := pgtest.Database(t)
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close(t.Context())
			if _, err := conn.Exec(t.Context(), fmt.Sprintf(`CREATE TABLE raw (id bigint PRIMARY KEY, name text);
				INSERT INTO raw SELECT g, repeat('x', 200) FROM generate_series(1, %d) g; CREATE TABLE clean (id bigint, name text)`, rows)); err != nil {
				t.Fatal(err)
			}
			return postgres.Table(url, "raw"), postgres.Into(url, "clean").Append()
		},
		"files": func(t *testing.T) (drover.Source, drover.Sink) {
			path := filepath.Join(t.TempDir(), "in.csv")
			text := "id,name\n"
			for i := range rows {
				text += fmt.Sprintf("%d,name %d\n", i, i)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return files.In(path), files.Out(filepath.Join(t.TempDir(), "out"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			source, sink := c(t)
			job := drover.Job{
				Name:  "soak",
				Frame: drover.Frame{Source: source, Steps: []drover.Step{{Filter: "id >= 0"}, {Set: []drover.Pair{{Key: "name", Value: "upper(name)"}}}}},
				Sink:  sink,
			}
			task := taskOf(t, job)
			chunk := task.Chunks[0]
			w := worker.New(all.All(), t.TempDir(), nil, protocol.Aside{Warn: func(text string) { t.Log(text) }})
			t.Cleanup(func() {
				if err := w.Close(); err != nil {
					t.Error(err)
				}
			})
			n := tasks(t)
			const warm = 100
			var before int64
			for i := range warm + n {
				if i == warm {
					debug.FreeOSMemory()
					before = memory.Used()
				}
				task.Token, chunk.ID = int64(i+1), int64(i)
				task.Chunks = []connector.Chunk{chunk}
				r := w.Execute(t.Context(), task, func(protocol.Progress) {})
				if r.Error != nil || len(r.Receipts) != 1 || r.Receipts[0].RowsOut != rows {
					t.Fatalf("task %d: %+v", i, r)
				}
			}
			debug.FreeOSMemory()
			grown := memory.Used() - before
			t.Logf("%d tasks: %d KiB before, %d KiB more after", n, before>>10, grown>>10)
			// The allocators' own noise is some mebibytes, more under the race detector; a leak grows with the tasks.
			if grown > 8<<20+int64(n)<<10 {
				t.Errorf("the memory of the worker grew by %d KiB over %d tasks", grown>>10, n)
			}
		})
	}
}

// taskOf binds a job of one chunk and returns its task, ready to execute.
func taskOf(t *testing.T, job drover.Job) protocol.Task {
	t.Helper()
	env := connector.Env{Timezone: "UTC", TempDir: t.TempDir(), Application: "drover/test", Warn: t.Logf}
	bound, err := bind.Bind(t.Context(), all.All(), job, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := bound.Close(); err != nil {
			t.Error(err)
		}
	})
	planned, err := plan.Make(bound.Bound)
	if err != nil {
		t.Fatal(err)
	}
	state, err := bound.Source.Begin(t.Context(), job.Frame.Chunk, nil)
	if err != nil {
		t.Fatal(err)
	}
	stage, err := protocol.StageOf(job, planned.Stages[0], state)
	if err != nil {
		t.Fatal(err)
	}
	task := protocol.Task{
		Run:    connector.Run{UID: "0123456789abcdef0123456789abcdef", ID: "r-soak", Job: job.Name, StartedAt: time.Now()},
		Stage:  stage,
		Memory: 256 << 20, Threads: 1, Timezone: "UTC", Now: time.Now(),
	}
	for chunk, err := range bound.Source.Chunks(t.Context(), job.Frame.Chunk, state) {
		if err != nil {
			t.Fatal(err)
		}
		task.Chunks = append(task.Chunks, chunk)
	}
	if task.Run.State, err = bound.Sink.Begin(t.Context(), task.Run, bound.Output); err != nil {
		t.Fatal(err)
	}
	return task
}
