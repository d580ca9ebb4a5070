package run

import (
	"testing"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/plan"
)

// TestRule4TheOutputIsWhatTheTargetGets: not how its columns come to be.
func TestRule4TheOutputIsWhatTheTargetGets(t *testing.T) {
	stage := func(c drover.Column, types ...string) plan.Stage {
		return plan.Stage{Output: drover.Schema{c}, Types: types}
	}
	own := drover.Column{Name: "name", From: "name", Type: "VARCHAR", Native: "text"}
	computed := drover.Column{Name: "name", Type: "VARCHAR"}
	sorted, mood, opaque := own, own, own
	sorted.Collation, mood.Native, opaque.Type = `pg_catalog."C"`, "mood", ""
	for _, c := range []struct {
		name string
		a, b plan.Stage
		want bool
	}{
		{"the source's own, then computed", stage(own, "text"), stage(computed, "text"), true},
		{"computed, then the source's own", stage(computed, "text"), stage(own, "text"), true},
		{"another type in the target", stage(mood, "mood"), stage(computed, "text"), false},
		{"another type in the steps", stage(computed, "text"), stage(drover.Column{Name: "name", Type: "BIGINT"}, "text"), false},
		{"another order of values", stage(sorted, "text"), stage(computed, "text"), false},
		{"a target that says nothing", stage(own), stage(computed), false},
		{"a type that no step reads", stage(opaque, "text"), stage(drover.Column{Name: "name", Native: "box"}, "text"), false},
		{"another name", stage(own, "text"), stage(drover.Column{Name: "n", Type: "VARCHAR"}, "text"), false},
		{"one column less", stage(own, "text"), plan.Stage{}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := sameOutput(c.a, c.b); got != c.want {
				t.Errorf("the same: %v", got)
			}
		})
	}
}
