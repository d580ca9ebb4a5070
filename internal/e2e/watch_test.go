package e2e

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// slowJob waits a while in each of its chunks.
var slowJob = strings.Replace(firmsJob, "table: raw", "query: SELECT r.* FROM raw r, LATERAL (SELECT pg_sleep(0.03 + 0 * r.id)) s", 1)

// TestStatusShowsMachinesAndWatchEndsWithTheRun: while a run is open its machines are shown with workers, rows/s and heartbeat; --watch ends when the run does.
func TestStatusShowsMachinesAndWatchEndsWithTheRun(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	firmsData(t, p)
	p.write(t, "job.yaml", slowJob)
	driver := p.start(t, "run", "job.yaml", "--workers", "1")
	var status struct {
		State    string `json:"state"`
		Machines []struct {
			Host    string    `json:"host"`
			PID     int       `json:"pid"`
			Workers int       `json:"workers"`
			Seen    time.Time `json:"seen_at"`
			Silent  float64   `json:"silent_seconds"`
			Rate    *float64  `json:"rows_per_second"`
		} `json:"machines"`
	}
	look := func() {
		t.Helper()
		status.Machines = nil
		if err := json.Unmarshal([]byte(p.must(t, "status", "--json", p.newest(t)).stdout), &status); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(patience); len(status.Machines) == 0; time.Sleep(20 * time.Millisecond) {
		if p.drover(t, nil, "status", "--json").code == 0 && p.newest(t) != "" {
			look()
		}
		if time.Now().After(deadline) {
			t.Fatal("no machine is shown")
		}
	}
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	m := status.Machines[0]
	if len(status.Machines) != 1 || m.Host != host || m.PID != driver.cmd.Process.Pid || m.Workers != 1 || m.Rate == nil || m.Silent < 0 || m.Seen.IsZero() {
		t.Errorf("machines %+v", status.Machines)
	}
	watch := p.start(t, "status", "--watch")
	driver.signal(t, syscall.SIGKILL)
	<-driver.done
	look()
	if status.State != "open" || len(status.Machines) != 1 {
		t.Errorf("after a kill: %+v", status)
	}
	p.must(t, "run", "job.yaml")
	r := watch.wait(t)
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	if r.code != 0 || !strings.Contains(lines[len(lines)-1], "finished: 4 chunks: 4 finished, 40 rows in") || strings.Contains(r.stdout, "\x1b") {
		t.Errorf("watch: exit %d\n%s%s", r.code, r.stdout, r.stderr)
	}
	look()
	if len(status.Machines) != 0 {
		t.Errorf("a finished run has machines: %+v", status.Machines)
	}
	both := p.drover(t, nil, "status", "--watch", "--json")
	if both.code != 2 {
		t.Errorf("--watch --json: exit %d", both.code)
	}
}

// newest is the name of the newest run; empty where there is none yet.
func (p *place) newest(t *testing.T) string {
	t.Helper()
	var all struct {
		Runs []struct {
			Run string `json:"run"`
		} `json:"runs"`
	}
	r := p.drover(t, nil, "status", "--json")
	if r.code != 0 {
		return ""
	}
	if err := json.Unmarshal([]byte(r.stdout), &all); err != nil {
		t.Fatal(err)
	}
	if len(all.Runs) == 0 {
		return ""
	}
	return all.Runs[0].Run
}
