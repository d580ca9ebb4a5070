// Package jobfile turns a job file (YAML) into a drover.Job, and an error about the job into one that points at the file's line.
//
// The path is: text (checked) -> YAML syntax tree -> nodes (aliases and merge keys resolved, positions kept) -> Go values, by
// reflection over the json tags of the vocabulary -> Job.Validate. Every refusal is an *Error.
package jobfile
