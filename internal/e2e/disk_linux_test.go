package e2e

import "testing"

// TestAFullDiskIsWaitedFor: what a task stages or spills while a disk has no room is no fault of its chunk, whoever is told which folder it is.
func TestAFullDiskIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, steps, folder string }{
		{"for what is staged", "[{set: {body: upper(body)}}]", "/out"},
		{"for what is spilled", "[{sql: \"SELECT * FROM chunk ORDER BY body\"}]", "/.drover/tmp/worker-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newPlace(t)
			p.write(t, "in/.keep", "")
			p.exec(t, `COPY (SELECT range AS id, md5(range::VARCHAR) || md5((range + 1)::VARCHAR) AS body FROM range(1500000)) TO '{dir}/in/f.parquet' (COMPRESSION zstd)`)
			p.write(t, "job.yaml", "name: full\nsource: {files: {path: in}}\nchunk: {files: 1}\nsteps: "+c.steps+"\nsink: {files: {path: out, mode: overwrite}}\n")
			r := p.start(t, "run", "job.yaml", "--json", "--memory", "256MiB", "--workers", "1")
			eventually(t, "drover says that the disk is full", func() bool {
				limitFiles(r.workers(t), 64<<10)
				select {
				case <-r.done:
					t.Fatalf("it has ended\n%s", r.stderr.String())
				default:
				}
				return r.said("for room on this machine's disk")
			})
			limitFiles(r.workers(t), noLimit)
			end := r.wait(t)
			says(t, end.stderr, "the disk of "+p.dir+c.folder)
			if s := end.summary(t); end.code != 0 || s.RowsOut != 1500000 || s.Chunks.Error > 0 {
				t.Errorf("exit %d, %+v\n%s", end.code, s, end.stderr)
			}
			if stray := strayFiles(t, p.dir+"/out"); len(stray) > 0 {
				t.Errorf("left behind: %v", stray)
			}
		})
	}
}
