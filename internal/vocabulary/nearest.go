package vocabulary

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// longestWord bounds what Nearest compares, in bytes: its cost grows with the square of the word.
const longestWord = 64

// Nearest returns the known word that someone who wrote word most likely meant: the one at the smallest edit distance,
// if that is at most a third of the word's length (and at least one edit), without regard to case. It returns "" if none is near.
func Nearest(word string, known []string) string {
	if len(word) > longestWord {
		return ""
	}
	best, least := "", max(1, utf8.RuneCountInString(word)/3)+1
	for _, candidate := range known {
		// At a distance of the candidate's whole length nothing of it was written.
		if d := distance(strings.ToLower(word), strings.ToLower(candidate)); d < least && d < utf8.RuneCountInString(candidate) {
			best, least = candidate, d
		}
	}
	return best
}

// DidYouMean returns a hint that names the nearest known word, or else lists all of them.
func DidYouMean(word string, known []string) string {
	if near := Nearest(word, known); near != "" {
		return fmt.Sprintf("Did you mean %q?", near)
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance is the optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours each count
// one. (Boytsov, "Indexing methods for approximate dictionary searching", 2011, section 2.2.)
func distance(a, b string) int {
	s, t := []rune(a), []rune(b)
	rows := make([][]int, len(s)+1)
	for i := range rows {
		rows[i] = make([]int, len(t)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(s); i++ {
		for j := 1; j <= len(t); j++ {
			cost := 1
			if s[i-1] == t[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && s[i-1] == t[j-2] && s[i-2] == t[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(s)][len(t)]
}
