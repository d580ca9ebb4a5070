# The long-lived child: waits for chunks on a socket, calls the function, answers. What it says travels as JSON with a length before it, what it
# computes with as Arrow IPC streams in shared memory, whose descriptors travel beside the messages (SCM_RIGHTS).
import array
import fcntl
import gc
import json
import mmap
import select
import signal
import socket
import struct
import tempfile
import threading
import weakref

LEAST_DESCRIPTOR = 200  # above what programs close by guess


class Wire:
    def __init__(self):
        descriptor = fcntl.fcntl(3, fcntl.F_DUPFD_CLOEXEC, LEAST_DESCRIPTOR)
        os.close(3)
        self.socket = socket.socket(fileno=descriptor)
        self.socket.setblocking(True)

    def receive(self):
        """The next message and the descriptor that came with it, or None at the end."""
        head, descriptors = self.exactly(4)
        if head is None:
            return None, None
        body, more = self.exactly(struct.unpack("<I", head)[0])
        if body is None:
            return None, None
        descriptors += more
        return json.loads(body), descriptors[0] if descriptors else None

    def exactly(self, n):
        data, descriptors = bytearray(), []
        while len(data) < n:
            part, ancillary, _, _ = self.socket.recvmsg(n - len(data), socket.CMSG_SPACE(4))
            for level, kind, content in ancillary:
                if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                    found = array.array("i")
                    found.frombytes(content[:4])
                    descriptors += list(found)
            if not part:
                return None, descriptors
            data += part
        return bytes(data), descriptors

    def send(self, message, descriptor=None):
        body = json.dumps(message).encode("utf-8", "replace")
        data = struct.pack("<I", len(body)) + body
        if descriptor is not None:
            sent = socket.send_fds(self.socket, [data], [descriptor])
            data = data[sent:]
        self.socket.sendall(data)

    def watch(self):
        """Ends this process when the worker's end of the socket is closed, whatever the function is doing. The kernel does the same on Linux."""

        def wait():
            poll = select.poll()
            poll.register(self.socket, 0)
            while True:
                if any(event & (select.POLLHUP | select.POLLERR | select.POLLNVAL) for _, event in poll.poll()):
                    os.kill(os.getpid(), signal.SIGKILL)

        threading.Thread(target=wait, name="drover", daemon=True).start()


OUTPUT = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, LEAST_DESCRIPTOR)


def keep_output():
    """Opens descriptors 1 and 2 again where the function has closed them: the next file would get their number, and whatever is printed."""
    for descriptor in (1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.dup2(OUTPUT, descriptor, inheritable=True)


def new_memory():
    """A descriptor of fresh memory that has no name."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("drover-answer", os.MFD_CLOEXEC)
    with tempfile.TemporaryFile() as f:
        return os.dup(f.fileno())


class Rows:
    """The memory that rows are given in, by place, the same again as long as each frame is gone when its call has ended. It cannot be written to, like
    other Arrow data: frames copy what they change."""

    def __init__(self):
        self.places, self.place, self.lent = {}, None, None
        os.register_at_fork(before=self.forget)  # the fork's frames must not change either

    def table(self, given, descriptor):
        self.place = given["place"]
        if descriptor is not None:
            self.forget()
            try:
                self.places[self.place] = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            finally:
                os.close(descriptor)
        view = memoryview(self.places[self.place])[: given["bytes"]]
        self.lent = weakref.ref(view)
        if given["once"]:
            self.forget()
        with pa.ipc.open_stream(pa.py_buffer(view)) as stream:
            return stream.read_all()

    def kept(self):
        """Says whether the memory of the last rows must not be written to again: something refers to it, or it was let go. It is let go then."""
        if self.lent is not None and self.lent() is not None:
            self.forget()
        return self.place not in self.places

    def forget(self):
        """Lets go of the memory of the last rows. It lasts as long as anything refers to it."""
        self.places.pop(self.place, None)
        self.lent = None


class Answers:
    """The memory that answers are written into, by place: the same again where it is spare and large enough."""

    def __init__(self, keep):
        self.keep, self.places = keep, {}

    def write(self, table, spare):
        """Returns where the IPC stream is, and a descriptor if the memory is new. Where no place is spare, the first is given up."""
        sink = pa.MockOutputStream()
        self.stream(table, sink)
        size, descriptor = sink.size(), None
        spare = sorted((p for p in spare if p in self.places), key=lambda p: len(self.places[p]), reverse=True) + [p for p in spare if p not in self.places]
        place = spare[0] if spare else 0
        memory = self.places.get(place) if spare else None
        if memory is None or size > len(memory):
            self.places.pop(place, None)
            descriptor = new_memory()
            try:
                os.ftruncate(descriptor, size + size // 8)  # what is not written to takes no space
                memory = self.places[place] = mmap.mmap(descriptor, 0)
                populate(memory, size)
            except BaseException:
                os.close(descriptor)
                raise
        self.stream(table, pa.FixedSizeBufferWriter(pa.py_buffer(memory)))
        if self.keep and size > self.keep:
            self.places.pop(place)
        return {"bytes": size, "place": place}, descriptor

    @staticmethod
    def stream(table, sink):
        with sink, pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)


def populate(memory, size):
    """Has all pages ready at once, which is cheaper than one by one. Linux can since 5.14."""
    try:
        memory.madvise(23, 0, size)  # MADV_POPULATE_WRITE
    except (AttributeError, OSError, ValueError):
        pass


def flush():
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass  # the function closed or replaced it


class Chunk(dict):
    """What the function may know of its chunk: chunk.key, chunk.run, chunk.job, chunk.id; also as chunk["key"]."""

    __getattr__ = dict.__getitem__


class Child:
    def __init__(self, hello):
        global pa
        self.folder, self.target, self.threads = os.path.realpath(hello["dir"]), hello["function"], hello["threads"]
        set_path(self.folder)
        check_requirements(hello["requirements"] or [])
        if hello["frame"]:
            need(dict.fromkeys([hello["frame"], "pyarrow"]), self.target)
        self.function = load(self.target, self.folder)
        self.with_chunk = takes_chunk(self.function, self.target)
        self.frame = hello["frame"] or frame_of(self.function)
        need(dict.fromkeys([self.frame, "pyarrow"]), self.target)
        if self.frame == "pandas":
            check_requirements(["pandas>=2"])
        self.lazy = self.frame == "polars" and takes_lazy(self.function)
        __import__(self.frame)
        import pyarrow as pa
        import pyarrow.compute

        pa.set_cpu_count(self.threads)
        pa.set_io_thread_count(1)
        self.mode = hello["dtypes"] or "auto"
        self.mark = hello["mark"]
        self.not_null, self.narrow = frozenset(hello["not_null"]), hello["narrow"] or {}
        self.output, self.rejects = decode_schema(hello["output"]), hello["rejects"]
        self.rows, self.answers, self.owner = Rows(), Answers(hello["keep"]), os.getpid()
        schema = decode_schema(hello["input"])
        if schema is not None:
            check_input(schema, self.not_null, self.frame, self.mode)
        # Which smaller types hold a chunk's values, and which categories it has, is seen of its own rows alone.
        self.together = not self.narrow and not any(has_type(field.type, pa.types.is_dictionary) for field in schema or ())
        gc.freeze()  # what is loaded stays: collections need not look at it

    def info(self):
        return {
            "python": ".".join(map(str, sys.version_info[:3])), "packages": versions(self.frame), "frame": self.frame,
            "takes_chunk": self.with_chunk, "files": loaded_files(self.folder),
        }

    def call(self, calls, given, descriptor):
        """Calls the function for one chunk after the other. Their rows follow each other, and so do those of the answer."""
        rows = [chunk.pop("rows") for chunk in calls]
        frames = frames_of(self.rows.table(given, descriptor), rows, self.convert, self.together)
        answers = []
        for place, chunk in enumerate(calls):
            if place:
                self.begin(place)
            answer = self.once(next(frames), chunk)
            keep_output()
            # The function may change in its next call what it returns now.
            copied = snapshot(answer, self.output) if len(calls) > 1 else None
            answers.append(self.fitted(answer) if copied is None else copied)
            del answer, copied
        counts = [len(a) for a in answers]
        where, memory = self.answers.write(self.joined(answers), given["spare"])
        return {"rows": counts, **where}, memory

    def begin(self, place):
        """Tells that the chunk with this place in the request is the next, behind what was printed until now."""
        flush()
        os.write(OUTPUT, f"{self.mark}{place}\n".encode())

    def convert(self, table):
        return to_frame(narrowed(table, self.narrow), self.not_null, self.frame, self.mode, self.threads)

    def once(self, frame, chunk):
        try:
            if self.lazy:
                frame = frame.lazy()
            answer = self.function(frame, chunk=Chunk(chunk)) if self.with_chunk else self.function(frame)
            # What a lazy answer fails on is the function's, too.
            return answer.collect() if self.frame == "polars" and is_a(answer, "polars", "LazyFrame") else answer
        except MemoryError as e:
            raise self.raised(e, "overrun") from e
        except BaseException as e:
            raise self.raised(e, "data") from e
        finally:
            if os.getpid() != self.owner:
                os._exit(0)  # a fork that came back out of the function is not the child that was asked

    def fitted(self, answer):
        table = to_table(answer, self.output, self.target, self.frame)
        if not self.rejects:
            refuse_nulls(table, self.output)
        return table

    def joined(self, answers):
        """One table of all answers."""
        if len(answers) == 1:
            return answers.pop()
        together = concatenated(answers)
        if together is not None:
            try:
                return in_one_piece(self.fitted(together))
            except Exception:
                del together  # one of them is at fault
        tables = []
        for place, answer in enumerate(answers):
            if not isinstance(answer, pa.Table):
                self.begin(place)
                answer = self.fitted(answer)
            tables.append(answer)
        return in_one_piece(pa.concat_tables(tables))

    def raised(self, e, kind):
        said = f"called sys.exit({e.code!r})" if isinstance(e, SystemExit) else "raised " + describe(e)
        lines = "".join("\n  " + line for line in user_lines(e, self.folder))
        return Refusal(kind, f"{self.target} {said}{lines}")


def decode_schema(text):
    if not text:
        return None
    import base64

    return pa.ipc.open_stream(pa.py_buffer(base64.b64decode(text))).schema


def failure(e):
    if isinstance(e, Refusal):
        if e.__cause__ is not None:
            traceback.print_exception(e.__cause__)  # whole, to the run's log
        return {"error": e.fields()}
    traceback.print_exception(e)
    kind = "overrun" if isinstance(e, MemoryError) else "data"
    return {"error": {"kind": kind, "message": "the rows cannot be handed over to Python: " + describe(e)}}


def release():
    """Gives back what the function has left behind, and tells how much memory stays."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    try:
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)
    except Exception:
        pass  # not the GNU libc


def serve():
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the worker's to handle
    sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.stderr.reconfigure(line_buffering=True, errors="backslashreplace")
    wire = Wire()
    wire.watch()
    os.register_at_fork(after_in_child=wire.watch)
    child = None
    while True:
        message, descriptor = wire.receive()
        if message is None:
            os._exit(0)
        given = None
        try:
            if "hello" in message:
                child = Child(message["hello"])
                reply = {"ready": child.info() if message["hello"]["inspect"] else {}}
            elif "release" in message:
                release()
                reply = {"released": True}
            else:
                answer, given = child.call(message["call"], message["rows"], descriptor)
                reply = {"answer": answer}
        except BaseException as e:
            reply = failure(e)
        if child is not None:
            reply["kept"] = child.rows.kept()
        flush()
        wire.send(reply, given)
        if given is not None:
            os.close(given)
        del reply, given


serve()
