package duck

import (
	"context"
	"fmt"
	"time"
)

// freezeClock makes now() and its kin constant for the session. A macro in the main schema is found before the built-in
// function of its name.
func (s *Session) freezeClock(ctx context.Context, now time.Time) error {
	at := "TIMESTAMPTZ " + Literal(now.UTC().Format("2006-01-02 15:04:05.999999-07"))
	for name, expr := range map[string]string{
		"now":                    at,
		"get_current_timestamp":  at,
		"transaction_timestamp":  at,
		"current_date":           at + "::DATE",
		"today":                  at + "::DATE",
		"get_current_time":       at + "::TIMETZ",
		"current_localtime":      at + "::TIMESTAMP::TIME",
		"current_localtimestamp": at + "::TIMESTAMP",
	} {
		if err := s.Exec(ctx, fmt.Sprintf("CREATE MACRO %s() AS %s", name, expr)); err != nil {
			return fmt.Errorf("fix %s() at the run's start: %w", name, err)
		}
	}
	// age(x) counts from current_date, whatever the catalog says of its stability. The other overload must be given along.
	age := "CREATE MACRO age(a) AS system.main.age(CAST(" + at + " AS DATE), a), (a, b) AS system.main.age(a, b)"
	if err := s.Exec(ctx, age); err != nil {
		return fmt.Errorf("fix age() at the run's start: %w", err)
	}
	return nil
}
