//go:build !unix

package storage

import "context"

// Writable implements Store. There is no check without writing here: the first write says it.
func (Local) Writable(context.Context, string) error { return nil }
