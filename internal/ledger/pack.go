package ledger

// Candidate is a chunk that could be claimed, as far as packing is concerned.
type Candidate struct {
	Stage int
	ID    int64
	// Bytes is the chunk's estimated size.
	Bytes int64
	// Limit is the highest number of chunks that a task with this one may hold; 0 means any. Halve lowers it.
	Limit int
}

// Packer decides how many neighbouring chunks make a task.
type Packer struct {
	maxBytes int64
	limit    int // the smallest of all limits so far; 0 means none
	count    int
	bytes    int64
	last     Candidate
}

// NewPacker returns a Packer for one task.
func NewPacker(want Want) *Packer { return &Packer{maxBytes: want.MaxBytes, limit: want.MaxChunks} }

// Take reports whether c, the next candidate by stage and ID, belongs to the task. Once it is false the task is complete.
func (p *Packer) Take(c Candidate) bool {
	limit := p.limit
	if c.Limit > 0 && (limit == 0 || c.Limit < limit) {
		limit = c.Limit
	}
	if p.count > 0 {
		switch {
		case c.Stage != p.last.Stage || c.ID != p.last.ID+1:
			return false
		// A chunk that belongs in smaller tasks must not join a task that is too large for it already.
		case limit > 0 && p.count >= limit:
			return false
		case p.maxBytes > 0 && p.bytes+c.Bytes > p.maxBytes:
			return false
		}
	}
	p.limit, p.last = limit, c
	p.count++
	p.bytes += c.Bytes
	return true
}

// Room returns how many more candidates could be taken at most; -1 means any number.
func (p *Packer) Room() int {
	if p.limit == 0 {
		return -1
	}
	return p.limit - p.count
}
