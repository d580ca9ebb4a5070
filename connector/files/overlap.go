package files

import (
	"strings"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/connector"
)

// CheckSource implements connector.SourceChecker: a run that was interrupted while it published would find its own output among its input, or
// its input gone.
func (s *sink) CheckSource(src connector.Source) error {
	in, ok := src.(*source)
	if !ok {
		return nil
	}
	replaces := s.mode() == Overwrite || s.mode() == OverwritePartitions
	for _, r := range in.roots {
		folder := r.Glob == "" && r.File == ""
		switch {
		case folder && within(s.root, r.Base):
			return drover.Errorf(drover.Invalid, "the sink writes to %s, which lies in the source's folder %s", s.root, r.Base).
				WithField("sink.files.path").WithHint("write to a folder beside the source, and rename it when the run is over")
		case replaces && within(r.Base, s.root):
			return drover.Errorf(drover.Invalid, "mode %s would remove the source: %s lies in the sink's folder %s", s.mode(), r, s.root).
				WithField("sink.files.path").WithHint("write to a folder beside the source, and rename it when the run is over")
		}
	}
	return nil
}

// CheckSink implements connector.SinkChecker: readers of either folder would read both, and a run that replaces one would remove files of the other.
func (s *sink) CheckSink(other connector.Sink) error {
	o, ok := other.(*sink)
	if !ok || !within(s.root, o.root) && !within(o.root, s.root) {
		return nil
	}
	return drover.Errorf(drover.Invalid, "rejects and rows would lie in one folder: %s and %s", s.root, o.root).
		WithField("path").WithHint("write rejects to a folder of their own")
}

// within reports whether path is dir or lies below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}
