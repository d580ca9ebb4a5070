package redact_test

import (
	"testing"

	"github.com/droverdata/drover/internal/redact"
)

func TestPasswordsAreHidden(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://u:secret@h/db":                             "postgres://u:***@h/db",
		"url: postgres://u:se:c/r@e@t@h/db x@y":                "url: postgres://u:***@h/db x@y",
		`postgres://u:p'w"@h/db`:                               "postgres://u:***@h/db",
		"postgres://:secret@h":                                 "postgres://:***@h",
		"postgres://u@h/db":                                    "postgres://u@h/db",
		"postgres://u:${PW}@h/db":                              "postgres://u:${PW}@h/db",
		`postgres://u:"${PW:?}"@h/db`:                          `postgres://u:"${PW:?}"@h/db`,
		`'host=h password='"${PW:?}"' dbname=x'`:               `'host=h password='"${PW:?}"' dbname=x'`,
		"${URL:-postgres://u:secret@h/db}":                     "${URL:-postgres://u:***@h/db}",
		"host=h password=secret dbname=x":                      "host=h password=*** dbname=x",
		"host=h PASSWORD = 'a b\\' c' dbname=x":                "host=h PASSWORD = *** dbname=x",
		"postgres://h/db?user=u&password=s&a=b":                "postgres://h/db?user=u&password=***&a=b",
		"postgres://u@h/db?password=hunter2&x=1":               "postgres://u@h/db?password=***&x=1",
		"sslpassword=s":                                        "sslpassword=***",
		"postgres//sec:S3CR@h/five":                            "postgres//sec:***@h/five",
		"postgres:/sec:S3CR@h/five":                            "postgres:/sec:***@h/five",
		"open postgres:/sec:/S3@CR@h/five: no":                 "open postgres:/sec:***@h/five: no",
		"at sec:S3CR@h/five":                                   "at sec:***@h/five",
		`"sec:S3:C/R@h/five"`:                                  `"sec:***@h/five"`,
		"postgresql:sec:S3CR@h":                                "postgresql:sec:***@h",
		"split_part(mail::text,'@',1)":                         "split_part(mail::text,'@',1)",
		`{"a":"b@c"}`:                                          `{"a":"b@c"}`,
		"https://h:80/x":                                       "https://h:80/x",
		"a: b":                                                 "a: b",
		"dial postgres://u:hunter2@h/db failed":                "dial postgres://u:***@h/db failed",
		"host=h Password = 'hunter2 and a \\' quote' dbname=d": "host=h Password = *** dbname=d",
		"https://host:8080/path has no password":               "https://host:8080/path has no password",
		"nothing to hide: 12:30 and a@b":                       "nothing to hide: 12:30 and a@b",
	} {
		if got := redact.Passwords(text); got != want {
			t.Errorf("Passwords(%q) = %q, want %q", text, got, want)
		}
	}
}
