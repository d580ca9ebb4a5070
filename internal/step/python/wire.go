package python

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/droverdata/drover"
	"github.com/droverdata/drover/internal/step/function"
)

// hello is the first message to a child.
type hello struct {
	Dir      string `json:"dir"`
	Function string `json:"function"`
	Frame    string `json:"frame"`
	DTypes   string `json:"dtypes"`
	Input    string `json:"input"`
	Output   string `json:"output"`
	// Rejects lets NULLs pass in columns that are NOT NULL.
	Rejects bool     `json:"rejects"`
	NotNull []string `json:"not_null"`
	// Narrow are pyarrow's names of smaller types, by column; "dictionary" is a text whose values are kept once.
	Narrow  map[string]string `json:"narrow"`
	Threads int               `json:"threads"`
	// Requirements are checked before anything is loaded.
	Requirements []string `json:"requirements"`
	// Keep is how large memory may be that is used again, in bytes; 0 means no bound.
	Keep int64 `json:"keep"`
	// Mark begins a line that the child prints before each chunk of a call but the first: the chunk's place follows. So it is known of every line
	// whose it is.
	Mark string `json:"mark"`
	// Inspect asks for an Info.
	Inspect bool `json:"inspect"`
}

// request is a message to a child; one of its fields is set.
type request struct {
	Hello *hello `json:"hello,omitempty"`
	// Call are the chunks that the function is called for, one after the other.
	Call []called `json:"call,omitempty"`
	// Rows go with Call.
	Rows    *given `json:"rows,omitempty"`
	Release bool   `json:"release,omitempty"`
}

// called is a chunk, and how many of the rows are its.
type called struct {
	function.Chunk
	Rows int `json:"rows"`
}

// given says where the rows of a call are. New memory travels beside the message; the child maps all of it.
type given struct {
	Place int `json:"place"`
	// Bytes is the length of the IPC stream at the memory's beginning.
	Bytes int `json:"bytes"`
	// Once says that the memory is not used again: it is free as soon as the frame is.
	Once bool `json:"once"`
	// Spare are the places that the answer may be written to: nothing refers to what was there.
	Spare []int `json:"spare"`
}

// reply is a child's answer to a request.
type reply struct {
	Error  *drover.Error `json:"error"`
	Ready  *Info         `json:"ready"`
	Answer *answerAt     `json:"answer"`
	// Kept says that the function still refers to the rows, or that the child has let go of their memory: it must not be written to.
	Kept     bool `json:"kept"`
	Released bool `json:"released"`
}

// answerAt says where an answer is and how long the IPC stream at the beginning of that memory. New memory travels beside the message.
type answerAt struct {
	Bytes int `json:"bytes"`
	Place int `json:"place"`
	// Rows are how many each chunk of the call has.
	Rows []int `json:"rows"`
}

// maxReply bounds what a child may say in one message: rows do not travel in messages.
const maxReply = 16 << 20

// errGone says that the child's end of the socket is closed, or that the child has ended.
var errGone = errors.New("the Python process is gone")

// errStopped says that the child has been stopped by a signal for too long.
var errStopped = errors.New("the Python process was stopped")

// stopLooks is how often in that time the child is looked at: a machine that was asleep itself has not looked.
const stopLooks = 10

// exchange sends a message, with a file beside it if it is not nil, and waits for the answer and the file beside that. While it waits, it passes
// on what the child prints. It returns errGone where the child ends first, errStopped where it is stopped, and ctx's error.
//
// One goroutine does it all: what the child had printed when it answered is then known to have been read.
func (p *process) exchange(ctx context.Context, message any, file *os.File) (reply, *os.File, error) {
	body, err := json.Marshal(message)
	if err != nil {
		return reply{}, nil, fmt.Errorf("encode a message: %w", err)
	}
	out := append(binary.LittleEndian.AppendUint32(nil, uint32(len(body))), body...)
	var rights []byte
	if file != nil {
		rights = unix.UnixRights(int(file.Fd()))
	}
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { p.wake(); close(woken) })
	defer func() {
		if !stop() {
			<-woken
		}
	}()
	var in incoming
	defer in.close()
	stopped := 0
	for {
		if err := ctx.Err(); err != nil {
			return reply{}, nil, err
		}
		wanted := int16(unix.POLLIN)
		if len(out) > 0 {
			wanted |= unix.POLLOUT
		}
		ready := []unix.PollFd{{Fd: int32(p.socket), Events: wanted}, {Fd: int32(p.output), Events: unix.POLLIN}, {Fd: int32(p.woken), Events: unix.POLLIN}}
		if p.output < 0 {
			ready[1].Events = 0
		}
		wait := int(p.stopTimeout.Milliseconds() / stopLooks)
		over := p.over.Load()
		if over {
			wait = 0
		}
		n, err := unix.Poll(ready, wait)
		switch {
		case err != nil && !errors.Is(err, unix.EINTR):
			return reply{}, nil, fmt.Errorf("wait for Python: %w", err)
		case n > 0 || err == nil && !p.stopped():
			stopped = 0
		case err == nil:
			if stopped++; stopped == stopLooks {
				return reply{}, nil, errStopped
			}
		}
		if ready[1].Revents != 0 {
			p.readOutput()
		}
		if ready[0].Revents&unix.POLLOUT != 0 {
			n, err := unix.SendmsgN(p.socket, out, rights, nil, unix.MSG_DONTWAIT|noSignal)
			switch {
			case err == nil:
				out, rights = out[n:], nil
			case !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR):
				return reply{}, nil, errGone
			}
		}
		if ready[0].Revents&(unix.POLLIN|unix.POLLHUP|unix.POLLERR) != 0 {
			done, err := in.read(p.socket)
			if err != nil {
				return reply{}, nil, err
			}
			if done {
				p.drain()
				p.flushLine()
				return in.decode()
			}
		}
		if ready[2].Revents != 0 {
			p.calm()
		}
		// Its own children may keep the socket open.
		if over && ready[0].Revents&unix.POLLIN == 0 {
			return reply{}, nil, errGone
		}
	}
}

// incoming is a message that is being received.
type incoming struct {
	data []byte
	file *os.File
}

// read takes what there is, and says whether the message is whole.
func (in *incoming) read(socket int) (bool, error) {
	missing := 4 - len(in.data)
	if missing <= 0 {
		missing = in.size() - len(in.data)
	}
	buf := make([]byte, min(missing, 1<<16))
	oob := make([]byte, unix.CmsgSpace(4*4))
	n, oobn, _, _, err := unix.Recvmsg(socket, buf, oob, unix.MSG_DONTWAIT|closeOnExec)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
		return false, nil
	}
	if err != nil {
		return false, errGone
	}
	if err := in.take(oob[:oobn]); err != nil {
		return false, err
	}
	if n == 0 {
		return false, errGone
	}
	in.data = append(in.data, buf[:n]...)
	if len(in.data) < 4 {
		return false, nil
	}
	if in.size() > maxReply {
		return false, errors.New("python's message is too large")
	}
	return len(in.data) == in.size(), nil
}

// size is the length of the whole message.
func (in *incoming) size() int { return 4 + int(binary.LittleEndian.Uint32(in.data)) }

// take keeps the descriptor that came along and closes any other.
func (in *incoming) take(oob []byte) error {
	if len(oob) == 0 {
		return nil
	}
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return fmt.Errorf("read Python's descriptors: %w", err)
	}
	for _, m := range messages {
		fds, err := unix.ParseUnixRights(&m)
		if err != nil {
			return fmt.Errorf("read Python's descriptors: %w", err)
		}
		for _, fd := range fds {
			in.close()
			unix.CloseOnExec(fd)
			in.file = os.NewFile(uintptr(fd), "drover-answer")
		}
	}
	return nil
}

func (in *incoming) close() {
	if in.file != nil {
		_ = in.file.Close() // it was never written to here
		in.file = nil
	}
}

func (in *incoming) decode() (reply, *os.File, error) {
	var r reply
	if err := json.Unmarshal(in.data[4:], &r); err != nil {
		return reply{}, nil, fmt.Errorf("read Python's message: %w", err)
	}
	f := in.file
	in.file = nil
	return r, f, nil
}
