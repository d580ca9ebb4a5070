package files

import "time"

// text takes in a text, as it is written between its quotes.
func (n *jsonNode) text(path string, raw []byte) {
	n.saw(jsonText, path)
	n.texts++
	if n.texts > 1 && n.dates+n.stamps+n.zoned+n.times == 0 {
		return // one is none of these, so all are texts
	}
	day := len(raw) >= 10 && isDay(raw[:10])
	switch {
	case day && len(raw) == 10:
		n.dates++
	case day && (raw[10] == ' ' || raw[10] == 'T'):
		switch rest, ok := cutClock(raw[11:]); {
		case ok && len(rest) == 0:
			n.stamps++
		case ok && isZone(rest):
			n.zoned++
		}
	default:
		if rest, ok := cutClock(raw); ok && len(rest) == 0 {
			n.times++
		}
	}
}

// digitsOf returns the number that digits write, or -1.
func digitsOf(raw []byte) int {
	n := 0
	for _, c := range raw {
		if c < '0' || c > '9' {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// isDay reports whether a text of 10 bytes is a day of the calendar, YYYY-MM-DD, after Christ.
func isDay(raw []byte) bool {
	y, m, d := digitsOf(raw[:4]), digitsOf(raw[5:7]), digitsOf(raw[8:])
	if y < 1 || m < 1 || m > 12 || d < 1 || d > 31 || raw[4] != '-' || raw[7] != '-' {
		return false
	}
	return d <= 28 || time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC).Day() == d
}

// cutClock cuts HH:MM:SS, with up to six digits below the second, from the beginning of a text.
func cutClock(raw []byte) (rest []byte, ok bool) {
	if len(raw) < 8 || raw[2] != ':' || raw[5] != ':' {
		return nil, false
	}
	h, m, s := digitsOf(raw[:2]), digitsOf(raw[3:5]), digitsOf(raw[6:8])
	if h < 0 || h > 23 || m < 0 || m > 59 || s < 0 || s > 59 {
		return nil, false
	}
	if rest = raw[8:]; len(rest) == 0 || rest[0] != '.' {
		return rest, true
	}
	end := 1
	for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
		end++
	}
	return rest[end:], end > 1 && end <= 7
}

// isZone reports whether a text is Z, or an offset as +02 or +02:00.
func isZone(raw []byte) bool {
	switch {
	case len(raw) == 1:
		return raw[0] == 'Z'
	case len(raw) != 3 && len(raw) != 6 || raw[0] != '+' && raw[0] != '-':
		return false
	}
	h := digitsOf(raw[1:3])
	if len(raw) == 3 {
		return h >= 0 && h < 15
	}
	m := digitsOf(raw[4:])
	return h >= 0 && h < 15 && raw[3] == ':' && m >= 0 && m < 60
}
