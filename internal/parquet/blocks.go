package parquet

// Encoded pages lie in blocks until their row group is written: a few small ones first, so that many partitions with few rows cost little.
const (
	smallBlock  = 1 << 10
	largeBlock  = 16 << 10
	smallBlocks = 4 // of each column chunk
	slabBytes   = 128 << 10
)

// blocks gives out blocks and takes them back.
type blocks struct {
	small, large [][]byte
	used         int // bytes
}

func (p *blocks) get(size int) []byte {
	free := &p.large
	if size == smallBlock {
		free = &p.small
	}
	if len(*free) == 0 {
		slab := make([]byte, slabBytes)
		for ; len(slab) > 0; slab = slab[size:] {
			*free = append(*free, slab[:0:size])
		}
	}
	p.used += size
	b := (*free)[len(*free)-1]
	*free = (*free)[:len(*free)-1]
	return b
}

func (p *blocks) put(b []byte) {
	p.used -= cap(b)
	if cap(b) == smallBlock {
		p.small = append(p.small, b[:0])
	} else {
		p.large = append(p.large, b[:0])
	}
}

// pages is the encoded pages of one column chunk.
type pages struct {
	blocks [][]byte
	size   int
}

func (p *pages) write(pool *blocks, data []byte) {
	p.size += len(data)
	for len(data) > 0 {
		n := len(p.blocks)
		if n == 0 || len(p.blocks[n-1]) == cap(p.blocks[n-1]) {
			size := largeBlock
			if n < smallBlocks {
				size = smallBlock
			}
			p.blocks = append(p.blocks, pool.get(size))
			n++
		}
		last := &p.blocks[n-1]
		k := min(len(data), cap(*last)-len(*last))
		*last = append(*last, data[:k]...)
		data = data[k:]
	}
}

func (p *pages) release(pool *blocks) {
	for _, b := range p.blocks {
		pool.put(b)
	}
	p.blocks, p.size = p.blocks[:0], 0
}
