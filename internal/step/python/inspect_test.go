package python

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/pythontest"
)

// write writes files into a folder of their own.
func write(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestInspectTellsWhatTheAnswerDependsOn(t *testing.T) {
	dir := write(t, map[string]string{
		"jobs/clean.py":        "import pandas as pd\nimport lib.tables\nimport beside\nprint('loading')\ndef clean(df: 'pd.DataFrame', chunk): return df\n",
		"jobs/beside.py":       "",
		"lib/__init__.py":      "",
		"lib/tables.py":        "RATES = {}\n",
		"lib/not_loaded.py":    "",
		"pandas_is_not_ours.y": "",
	})
	info, err := Inspect(t.Context(), Options{Interpreter: pythontest.Python(t), Dir: dir, Spec: Spec{Function: "jobs/clean.py:clean"}}, []string{"pandas>=2", "pyarrow", "colorama; sys_platform == 'win32'"})
	if err != nil {
		t.Fatal(err)
	}
	if info.Frame != "pandas" || !info.TakesChunk || !strings.HasPrefix(info.Python, "3.") || info.Packages["pandas"] == "" || info.Packages["pyarrow"] == "" || info.Packages["numpy"] == "" {
		t.Errorf("got %+v", info)
	}
	var paths []string
	for _, f := range info.Files {
		paths = append(paths, f.Path)
	}
	if want := []string{"jobs/beside.py", "jobs/clean.py", "lib/__init__.py", "lib/tables.py"}; !reflect.DeepEqual(paths, want) {
		t.Errorf("got %v", paths)
	}
	if got := info.Files[0].SHA256; got != "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" {
		t.Errorf("got %s", got)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "*", "__pycache__")); len(found) > 0 {
		t.Errorf("left behind: %v", found)
	}
}

func TestTheFrameIsThatOfTheAnnotation(t *testing.T) {
	for name, c := range map[string]struct{ code, want string }{
		"none":             {"def clean(df): return df", "pandas"},
		"pandas":           {"import pandas as pd\ndef clean(df: pd.DataFrame): return df", "pandas"},
		"polars":           {"import polars as pl\ndef clean(df: pl.DataFrame): return df", "polars"},
		"pyarrow":          {"import pyarrow\ndef clean(t: pyarrow.Table): return t", "pyarrow"},
		"text":             {"from __future__ import annotations\nimport polars as p\ndef clean(df: p.DataFrame): return df", "polars"},
		"imported name":    {"from __future__ import annotations\nfrom polars import DataFrame as D\ndef clean(df: D): return df", "polars"},
		"not imported":     {"def clean(df: 'polars.DataFrame'): return df", "polars"},
		"known short name": {"def clean(df: 'pa.Table'): return df", "pyarrow"},
		"something else":   {"def clean(df: list): return df", "pandas"},
		"decorated":        {"import functools, polars\ndef d(f):\n  @functools.wraps(f)\n  def g(*a): return f(*a)\n  return g\n@d\ndef clean(df: polars.DataFrame): return df", "polars"},
		"a callable":       {"import polars\nclass C:\n  def __call__(self, df: polars.DataFrame): return df\nclean = C()", "polars"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			info, err := Inspect(t.Context(), Options{Interpreter: pythontest.Python(t), Dir: jobWith(t, c.code), Spec: Spec{Function: "clean.py:clean"}}, nil)
			if err != nil {
				t.Fatal(kindAndText(err))
			}
			if info.Frame != c.want {
				t.Errorf("got %s, want %s", info.Frame, c.want)
			}
		})
	}
}

func TestWhatKeepsAFunctionFromRunningIsFoundAtPlanTime(t *testing.T) {
	const good = "def clean(df): return df\n"
	nullable := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}}, nil)
	interval := arrow.NewSchema([]arrow.Field{{Name: "i", Type: arrow.FixedWidthTypes.MonthDayNanoInterval}}, nil)
	for name, c := range map[string]struct {
		code         string
		spec         Spec
		input        *arrow.Schema
		requirements []string
		want         []string
	}{
		"no such file":         {good, Spec{Function: "dirty.py:clean"}, nil, nil, []string{"dirty.py is not in the job's folder"}},
		"outside":              {good, Spec{Function: "../clean.py:clean"}, nil, nil, []string{"../clean.py is outside of the job's folder"}},
		"no such function":     {good, Spec{Function: "clean.py:wash"}, nil, nil, []string{"clean.py has no function wash", "it has clean"}},
		"no such module":       {good, Spec{Function: "laundry.wash:clean"}, nil, nil, []string{"there is no module laundry.wash"}},
		"no function named":    {good, Spec{Function: "clean.py"}, nil, nil, []string{"clean.py does not name a function", "clean.py:clean"}},
		"not a function":       {"clean = 3", Spec{}, nil, nil, []string{"clean.py:clean is a int, not a function"}},
		"a syntax error":       {"x = 1\ndef clean(df:\n", Spec{}, nil, nil, []string{"clean.py:2: SyntaxError: '(' was never closed: def clean(df:"}},
		"an error on import":   {"def f():\n  return 1/0\nf()", Spec{}, nil, nil, []string{"clean.py cannot be imported: ZeroDivisionError: division by zero", "\n  clean.py:3 in <module>: f()\n  clean.py:2 in f: return 1/0"}},
		"sys.exit on import":   {"import sys\nsys.exit(1)", Spec{}, nil, nil, []string{"clean.py cannot be imported: SystemExit: 1"}},
		"a crash on import":    {"import os\nprint('so it goes', flush=True)\nos._exit(3)", Spec{}, nil, nil, []string{"ended while it loaded the function: so it goes"}},
		"a missing module":     {"import no_such_module\n" + good, Spec{}, nil, nil, []string{"ModuleNotFoundError", "-m pip install no_such_module"}},
		"no parameter":         {"def clean(): pass", Spec{}, nil, nil, []string{"clean.py:clean takes (), and is called with a frame"}},
		"two frames":           {"def clean(a, b): pass", Spec{}, nil, nil, []string{"clean.py:clean takes (a, b)", "named chunk"}},
		"a coroutine":          {"async def clean(df): pass", Spec{}, nil, nil, []string{"must be a plain function"}},
		"requirements":         {good, Spec{}, nil, []string{"pandas>=99", "numpy", "laundry==1"}, []string{"pandas is 3.1.1, not pandas>=99; laundry is not installed", "-m pip install 'pandas>=99' laundry==1"}},
		"no requirement":       {good, Spec{}, nil, []string{"numpy", "pandas >> 2"}, []string{"python_env.requirements[1]: 'pandas >> 2' is not a requirement", "such as pandas>=2,<4"}},
		"NULLs in numpy":       {good, Spec{DTypes: "numpy"}, nullable, nil, []string{"column n is int64 and may hold NULL", "dtypes: nullable"}},
		"intervals in numpy":   {good, Spec{DTypes: "numpy"}, interval, nil, []string{"column i is month_day_nano_interval, which NumPy has no type for"}},
		"intervals in polars":  {good, Spec{Frame: "polars"}, interval, nil, []string{"column i is an INTERVAL, which polars cannot hold"}},
		"default and required": {"def clean(df, a=1, *, chunk, b): return df", Spec{}, nil, nil, []string{"takes (df, a=1, *, chunk, b)"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.spec.Function == "" {
				c.spec.Function = "clean.py:clean"
			}
			_, err := Inspect(t.Context(), Options{Interpreter: pythontest.Python(t), Dir: jobWith(t, c.code), Spec: c.spec, Input: c.input}, c.requirements)
			for _, want := range c.want {
				if !strings.Contains(kindAndText(err), want) || drover.KindOf(err) != drover.Invalid {
					t.Errorf("got %s, want %s", kindAndText(err), want)
				}
			}
		})
	}
}

// An old pip brings a package that takes pandas>>2 for a requirement, and compares versions as texts: what it takes is looked at again.
func TestARequirementThatIsNoneIsRefusedWhateverReadsIt(t *testing.T) {
	const old = `
import re
class InvalidRequirement(Exception): pass
class Requirement:
    marker = None
    def __init__(self, text):
        m = re.fullmatch("([a-z]+)(.*)", text)
        self.name, self.specifier = m[1], Specifiers(m[2].split(",") if m[2] else [])
class Specifiers(list):
    def contains(self, version, prereleases): return True
`
	for text, good := range map[string]bool{
		"pandas>>2": false, "pandas=2": false, "pandas>=two": false, "pandas=>2": false,
		"pandas": true, "pandas~=3.0": true, "pandas==3.*": true, "pandas>=2.0rc1,!=2.5.post1": true, "pandas>=v1!2.0.dev3": true, "pandas===3.1.1+local.1": true,
	} {
		for _, reader := range []string{"old", "none"} {
			dir := jobWith(t, "def clean(df): return df")
			if reader == "old" {
				dir = write(t, map[string]string{"clean.py": "def clean(df): return df", "packaging/__init__.py": "", "packaging/requirements.py": old})
			} else if good {
				continue
			}
			_, err := Inspect(t.Context(), Options{Interpreter: pythontest.Python(t), Dir: dir, Spec: Spec{Function: "clean.py:clean"}}, []string{text})
			var e *drover.Error
			if good && err != nil || !good && (!errors.As(err, &e) || e.Kind != drover.Invalid || e.Field != "python_env.requirements[0]" || !strings.Contains(e.Hint, "such as pandas>=2,<4")) {
				t.Errorf("%s, %s: %v", text, reader, err)
			}
		}
	}
}

// What the refusal of a column with NULLs as NumPy's advises makes the job run.
func TestTheAdviceForNullsInNumpyHelps(t *testing.T) {
	nullable := arrow.NewSchema([]arrow.Field{{Name: "n", Type: arrow.PrimitiveTypes.Int64, Nullable: true}, {Name: "b", Type: arrow.FixedWidthTypes.Boolean, Nullable: true}}, nil)
	inspect := func(dtypes string) error {
		_, err := Inspect(t.Context(), Options{Interpreter: pythontest.Python(t), Dir: jobWith(t, "def clean(df): return df"), Input: nullable, Spec: Spec{Function: "clean.py:clean", DTypes: dtypes}}, nil)
		return err
	}
	if err := inspect("numpy"); !strings.HasSuffix(kindAndText(err), "| leave out dtypes: numpy, or write dtypes: nullable or dtypes: pyarrow") {
		t.Error(kindAndText(err))
	}
	for _, advised := range []string{"", "nullable", "pyarrow"} {
		if err := inspect(advised); err != nil {
			t.Errorf("%q: %v", advised, err)
		}
	}
}

// bare makes an environment without any package.
func bare(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "bare")
	if out, err := exec.Command("python3", "-m", "venv", "--without-pip", dir).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return filepath.Join(dir, "bin", "python")
}

func TestAMissingPackageSaysWhatToInstallWithThisInterpreter(t *testing.T) {
	python := bare(t)
	for name, c := range map[string]struct {
		code         string
		frame        string
		requirements []string
		want         string
	}{
		"pandas by its import":     {"import pandas as pd\ndef clean(df: pd.DataFrame): return df", "", nil, " -m pip install pandas pyarrow"},
		"polars by its import":     {"import polars\ndef clean(df): return df", "", nil, " -m pip install polars pyarrow"},
		"pandas by default":        {"def clean(df): return df", "", nil, " -m pip install pandas pyarrow"},
		"polars by frame":          {"def clean(df): return df", "polars", nil, " -m pip install polars pyarrow"},
		"requirements without pip": {"def clean(df): return df", "", []string{"pandas>=2,<4"}, " -m pip install 'pandas>=2,<4'"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Inspect(t.Context(), Options{Interpreter: python, Dir: jobWith(t, c.code), Spec: Spec{Function: "clean.py:clean", Frame: c.frame}}, c.requirements)
			if !strings.HasSuffix(kindAndText(err), "| "+python+c.want) {
				t.Errorf("got %s", kindAndText(err))
			}
		})
	}
}

func TestTheInterpreterIsThatOfTheJobThenOfTheEnvironmentThenOfThePath(t *testing.T) {
	dir := write(t, map[string]string{".venv/bin/python": "#!/bin/sh\n", "active/bin/python": "#!/bin/sh\n", "bin/python3": "#!/bin/sh\n", "not/a/program": ""})
	for _, f := range []string{".venv/bin/python", "active/bin/python", "bin/python3"} {
		if err := os.Chmod(filepath.Join(dir, f), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", filepath.Join(dir, "bin"))
	t.Setenv("VIRTUAL_ENV", filepath.Join(dir, "active"))
	if got, err := Resolve(".venv/bin/python", dir); err != nil || got != filepath.Join(dir, ".venv/bin/python") {
		t.Errorf("got %s, %v", got, err)
	}
	if _, err := Resolve("not/a/program", dir); drover.KindOf(err) != drover.Invalid || !strings.Contains(err.Error(), "there is no program") {
		t.Errorf("got %v", err)
	}
	if got, err := Resolve("", dir); err != nil || got != filepath.Join(dir, "active/bin/python") {
		t.Errorf("got %s, %v", got, err)
	}
	// The advice to make an environment names a folder that is not there yet: never one that holds something else.
	for bin, want := range map[string]string{
		"new/bin/python": "python3 -m venv " + filepath.Join(dir, "new"), "active/bin/pypy": "write the path of an interpreter", "/nonexistent/python": "write the path of an interpreter",
	} {
		if _, err := Resolve(bin, dir); !strings.Contains(kindAndText(err), want) {
			t.Errorf("%s: %s", bin, kindAndText(err))
		}
	}
	t.Setenv("VIRTUAL_ENV", "")
	if got, err := Resolve("", dir); err != nil || got != filepath.Join(dir, "bin/python3") {
		t.Errorf("got %s, %v", got, err)
	}
	t.Setenv("PATH", dir)
	if _, err := Resolve("", dir); drover.KindOf(err) != drover.Invalid {
		t.Errorf("got %v", err)
	}
	t.Setenv("VIRTUAL_ENV", filepath.Join(dir, "not"))
	if _, err := Resolve("", dir); drover.KindOf(err) != drover.Invalid || !strings.Contains(err.Error(), "VIRTUAL_ENV names") {
		t.Errorf("got %v", err)
	}
}

func TestAProgramThatIsNoPythonIsRefused(t *testing.T) {
	dir := write(t, map[string]string{"python": "#!/bin/sh\necho I am a shell >&2\nexit 1\n"})
	if err := os.Chmod(filepath.Join(dir, "python"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Inspect(t.Context(), Options{Interpreter: filepath.Join(dir, "python"), Dir: dir, Spec: Spec{Function: "clean.py:clean"}}, nil)
	if drover.KindOf(err) != drover.Invalid || !strings.Contains(err.Error(), "I am a shell") {
		t.Errorf("got %s", kindAndText(err))
	}
}
