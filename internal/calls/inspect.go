package calls

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/duck"
	"github.com/droverdata/drover/internal/step"
)

// Inspect looks at the function of a step, whose rows have the columns input, and returns its name for workers and what the fingerprint
// covers of it (exactness.md 2). The session only describes types; requirements are the job's.
func Inspect(ctx context.Context, session *duck.Session, st drover.Step, input drover.Schema, env Env, requirements []string) (step.Function, json.RawMessage, error) {
	if st.Go != "" {
		meaning, err := program()
		return step.Function{Go: st.Go}, meaning, err
	}
	in, err := arrowSchema(session, input)
	if err != nil {
		return step.Function{}, nil, err
	}
	return inspectPython(ctx, step.Function{Python: st.Python, Frame: st.Frame, DTypes: st.DTypes}, in, env, requirements)
}

// program is the hash of this program: a function in it may be any part of it.
func program() (json.RawMessage, error) {
	path, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find the program that is running: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read the program that is running: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		return nil, fmt.Errorf("read the program that is running: %w", err)
	}
	return json.Marshal(map[string]string{"program": hex.EncodeToString(sum.Sum(nil))})
}
