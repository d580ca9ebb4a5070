package postgres

// aboutReceipt is what psql's \d+ shows of the receipt table and its columns.
func aboutReceipt(table string) []string {
	return comments(table, "drover: one row per chunk whose rows are committed in this database, written in their transaction. Removed when its run is old (drover prune).", [][2]string{
		{"run_uid", "The run: gate.run_uid here, and run.uid in the ledger."},
		{"stage", "Of the plan, from 0."},
		{"chunk_id", "chunk.id in the ledger."},
		{"token", "Of the attempt that committed (attempt.token in the ledger); 0 where the chunk was split, which keeps late attempts of the whole out."},
		{"receipt", "Rows and bytes in and out, peak memory: what the ledger records of the chunk."},
		{"committed_at", "When its transaction began."},
	})
}

// aboutGate is what it shows of the gate table.
func aboutGate(table string) []string {
	return comments(table, "drover: one row per run that writes to a table of this database. Each transaction of the run locks it; a closed one lets none commit.", [][2]string{
		{"run_uid", "run.uid in the ledger."},
		{"job", "The name of the job."},
		{"run_id", "The name of the run: run.id in the ledger."},
		{"target", "The table that it writes."},
		{"mode", "append, replace, upsert or error."},
		{"state", "open, or closed: then no transaction of the run can commit any more."},
		{"outcome", "Of a closed run: published or aborted."},
		{"sink", "What the run needs to know to be resumed."},
		{"opened_at", "When the run began here."},
		{"closed_at", "When it ended here."},
	})
}

// comments returns the statements that say what a table and its columns are.
func comments(table, about string, columns [][2]string) []string {
	statements := []string{"COMMENT ON TABLE " + table + " IS " + literal(about)}
	for _, c := range columns {
		statements = append(statements, "COMMENT ON COLUMN "+table+"."+quote(c[0])+" IS "+literal(c[1]))
	}
	return statements
}
