package cli

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/human"
	"github.com/droverdata/drover/internal/jobfile"
	"github.com/droverdata/drover/internal/memory"
	"github.com/droverdata/drover/internal/redact"
)

const (
	// stateDir is where drover keeps what it needs, below the working directory.
	stateDir      = ".drover"
	defaultLedger = stateDir + "/ledger.db"
	defaultLease  = 30 * time.Second
	// leastLease leaves time for a heartbeat or two.
	leastLease = time.Second
)

// size is a flag or a variable that holds a number of bytes: "4GiB", "500MB".
type size int64

func (s *size) String() string {
	if *s == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*s), 10)
}

// Set implements pflag.Value.
func (s *size) Set(text string) error {
	n, err := jobfile.ParseSize(text)
	if err != nil {
		return err
	}
	*s = size(n)
	return nil
}

// Type implements pflag.Value.
func (*size) Type() string { return "size" }

// settings are what flags, job file and environment together say about how to run. A flag wins over the job file, which wins
// over the environment.
type settings struct {
	ledger  string
	lease   time.Duration
	memory  int64
	workers int
	// asked says that the user named the number of workers.
	asked bool
}

// flags are the run flags that a job file or the environment can say too.
type flags struct {
	engine  string
	ledger  string
	memory  size
	workers int
	lease   time.Duration
}

// ledgerName returns what the flag, the job file or the environment names, else the default. job is empty for verbs without a job file.
func (a *app) ledgerName(flag, job string) string {
	for _, s := range []string{flag, job, a.getenv("DROVER_LEDGER")} {
		if s != "" {
			return s
		}
	}
	return defaultLedger
}

func (a *app) resolve(f flags, job drover.Job) (settings, error) {
	s := settings{ledger: a.ledgerName(f.ledger, job.Ledger), lease: f.lease, workers: f.workers}
	engine := f.engine
	if engine == "" {
		engine = a.getenv("DROVER_ENGINE")
	}
	if engine != "" && engine != "local" {
		from := "--engine"
		if f.engine == "" {
			from = "DROVER_ENGINE"
		}
		return s, drover.Errorf(drover.Invalid, "%s: unknown engine %q", from, redact.Passwords(engine)).WithHint("this version has the engine local")
	}
	if err := a.resolveLease(&s); err != nil {
		return s, err
	}
	if err := a.resolveMemory(&s, f, job); err != nil {
		return s, err
	}
	if s.workers == 0 {
		s.workers = job.Limits.Workers
	}
	if s.workers < 0 || s.workers > 1024 {
		return s, drover.Errorf(drover.Invalid, "%d workers: it must be between 1 and 1024", s.workers).WithHint("--workers 4")
	}
	s.asked = s.workers > 0
	if s.workers == 0 {
		s.workers = runtime.GOMAXPROCS(0)
	}
	return s, nil
}

func (a *app) resolveLease(s *settings) error {
	if s.lease == 0 {
		s.lease = defaultLease
		if text := a.getenv("DROVER_LEASE"); text != "" {
			d, err := time.ParseDuration(text)
			if err != nil {
				return drover.Errorf(drover.Invalid, "DROVER_LEASE: %q is not a time", text).WithHint("write it like 30s or 2m")
			}
			if d < leastLease {
				return shortLease("DROVER_LEASE", d)
			}
			s.lease = d
		}
	}
	return nil
}

// shortLease refuses a lease; from is the flag or variable that asks for it.
func shortLease(from string, lease time.Duration) error {
	return drover.Errorf(drover.Invalid, "%s: a lease of %s is too short for a machine to renew it in time", from, lease).
		WithHint("at least %s; 30s is the default", leastLease)
}

func (a *app) resolveMemory(s *settings, f flags, job drover.Job) error {
	from, field := "--memory", ""
	s.memory = int64(f.memory)
	if s.memory == 0 && job.Limits.Memory != 0 {
		from, field = "limits.memory", "limits.memory"
		s.memory = job.Limits.Memory
	}
	if text := a.getenv("DROVER_MEMORY"); s.memory == 0 && text != "" {
		n, err := jobfile.ParseSize(text)
		if err != nil {
			return drover.Errorf(drover.Invalid, "DROVER_MEMORY: %w", err).WithHint("write a number with its unit, such as 8GiB, 512MiB or 300MB")
		}
		from, s.memory = "DROVER_MEMORY", n
	}
	least := int64(memory.Driver + memory.Least)
	if s.memory >= least {
		return nil
	}
	if s.memory > 0 {
		return drover.Errorf(drover.Invalid, "%s: %s is too little for drover and one worker", from, human.Memory(s.memory)).
			WithField(field).WithHint("at least %s", human.Memory(least))
	}
	n, err := memory.Default()
	if err != nil {
		return drover.Errorf(drover.Refused, "%w", err).WithHint("name the budget: --memory 4GiB")
	}
	if n < least {
		return drover.Errorf(drover.Refused, "this machine has too little free memory: the default budget would be %s", human.Memory(n)).
			WithHint("at least --memory %dMiB is needed", least>>20)
	}
	s.memory = n
	return nil
}

// scratch returns the absolute path of the directory for temporary files.
func scratch() (string, error) {
	dir, err := filepath.Abs(filepath.Join(stateDir, "tmp"))
	if err != nil {
		return "", drover.Errorf(drover.Refused, "find the working directory: %w", err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", drover.Errorf(drover.Refused, "create the scratch directory: %w", err).
			WithHint("run drover in a directory that it may write to")
	}
	return dir, nil
}
