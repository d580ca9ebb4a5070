package python

import (
	"encoding/binary"

	flatbuffers "github.com/google/flatbuffers/go"
)

// node is what an IPC message says about an array, and which region says where it is NULL.
type node struct {
	rows, nulls int64
	validity    int
}

// region is a buffer's place; at counts from the segment's beginning, room is how far it may grow.
type region struct{ at, size, room int }

// Slots and values of Arrow's Message.fbs and Schema.fbs
// (https://github.com/apache/arrow/blob/main/format/Message.fbs), and the marker before an encapsulated message.
const (
	messageVersion, messageHeaderType, messageHeader, messageBodyLength = 0, 1, 2, 3
	batchLength, batchNodes, batchBuffers                               = 0, 1, 2

	versionV5         = 4
	headerRecordBatch = 3
	pairBytes         = 16 // FieldNode and Buffer are two int64
	continuation      = 0xffffffff

	// never is a default that no field has: a field that has its default is left out.
	never = -1
)

// appendBatchHead appends the metadata of a batch, which lies at head in the segment and its body at body: the marker, the length, the message, and
// zeros up to where a body may begin. All fields are there whatever they are, so that the length is known before the rows are
// (https://arrow.apache.org/docs/format/Columnar.html#recordbatch-message).
func appendBatchHead(to []byte, batch *body, head, body, length int) []byte {
	nodes, regions := batch.nodes, batch.regions
	b := flatbuffers.NewBuilder(256 + pairBytes*(len(nodes)+len(regions)))
	b.StartVector(pairBytes, len(regions), 8)
	for i := len(regions) - 1; i >= 0; i-- {
		at := int64(regions[i].at - body)
		b.PrependInt64(int64(regions[i].size))
		b.PrependInt64(at)
	}
	buffers := b.EndVector(len(regions))
	b.StartVector(pairBytes, len(nodes), 8)
	for i := len(nodes) - 1; i >= 0; i-- {
		b.PrependInt64(nodes[i].nulls)
		b.PrependInt64(nodes[i].rows)
	}
	arrays := b.EndVector(len(nodes))
	b.StartObject(batchBuffers + 1)
	b.PrependInt64Slot(batchLength, int64(batch.rows), never)
	b.PrependUOffsetTSlot(batchNodes, arrays, 0)
	b.PrependUOffsetTSlot(batchBuffers, buffers, 0)
	header := b.EndObject()
	b.StartObject(messageBodyLength + 1)
	b.PrependInt64Slot(messageBodyLength, int64(length), never)
	b.PrependUOffsetTSlot(messageHeader, header, 0)
	b.PrependInt16Slot(messageVersion, versionV5, 0)
	b.PrependByteSlot(messageHeaderType, headerRecordBatch, 0)
	b.Finish(b.EndObject())
	meta := b.FinishedBytes()
	padded := aligned(head+headBytes+len(meta)) - head - headBytes
	to = binary.LittleEndian.AppendUint32(to, continuation)
	to = binary.LittleEndian.AppendUint32(to, uint32(padded))
	to = append(to, meta...)
	return append(to, make([]byte, padded-len(meta))...)
}

// headBytes are the marker and the length.
const headBytes = 8

// aligned rounds up to what Arrow advises for buffers.
func aligned(n int) int { return (n + 63) / 64 * 64 }
