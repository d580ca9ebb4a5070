package run

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector/files"
	"github.com/droverdata/drover/internal/bind"
	"github.com/droverdata/drover/internal/ledger"
	"github.com/droverdata/drover/internal/plan"
)

func TestWhatChangedSinceAnUnfinishedRunBeganIsNamed(t *testing.T) {
	const was = `{"python":"3.12.1","packages":{"pandas":"2.2.0","pyarrow":"19.0.0"},"frame":"pandas","takes_chunk":false,"files":[{"path":"k.py","sha256":"aa"},{"path":"helper.py","sha256":"bb"}]}`
	job := drover.Job{Name: "j", Frame: drover.Frame{Source: files.In("in")}, Sink: files.Out("out")}
	fingerprint, err := plan.Fingerprint(job, []json.RawMessage{json.RawMessage(was)})
	if err != nil {
		t.Fatal(err)
	}
	kept, err := json.Marshal(doc{Functions: []json.RawMessage{json.RawMessage(was)}})
	if err != nil {
		t.Fatal(err)
	}
	other := job
	other.Timezone = "Europe/Berlin"
	for _, c := range []struct {
		job        drover.Job
		doc        []byte
		is, expect string
	}{
		{job, kept, strings.Replace(was, "bb", "cc", 1), "and helper.py has changed since"},
		{job, kept, strings.NewReplacer("bb", "cc", "2.2.0", "3.0.0").Replace(was), "and helper.py, pandas (2.2.0 then, 3.0.0 now) have changed since"},
		{job, kept, strings.Replace(was, `,{"path":"helper.py","sha256":"bb"}`, "", 1), "and helper.py has changed since"},
		{other, kept, strings.Replace(was, "bb", "cc", 1), "and the job file has changed since"},
		{job, nil, strings.Replace(was, "bb", "cc", 1), "and the job file has changed since"},
	} {
		r := &runner{
			run:   ledger.Run{ID: "r-1", Fingerprint: fingerprint, Doc: c.doc, State: ledger.Open},
			bound: &bind.Bound{Bound: plan.Bound{Job: c.job, Functions: []json.RawMessage{json.RawMessage(c.is)}}},
		}
		if err := r.otherMeaning(); drover.KindOf(err) != drover.Invalid || !strings.Contains(err.Error(), c.expect) {
			t.Errorf("got %v, want %q", err, c.expect)
		}
	}
}
