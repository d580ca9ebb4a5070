package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// tracer is called before every statement of a sink's connections.
type tracer func(ctx context.Context, conn *pgx.Conn, sql string)

func (f tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, q pgx.TraceQueryStartData) context.Context {
	f(ctx, conn, q.SQL)
	return ctx
}

func (tracer) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}
