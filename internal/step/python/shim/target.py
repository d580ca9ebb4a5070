# Finds the user's function and says what it is. Nothing here imports pandas, polars or pyarrow by itself.
import importlib
import importlib.util
import inspect
import linecache
import os
import sys
import traceback


class Refusal(Exception):
    """What the user is told: a kind of drover.Error, a message, the column at fault, what to do next, the place in the job file."""

    def __init__(self, kind, message, hint="", column="", sample="", field=""):
        super().__init__(message)
        self.kind, self.message, self.hint, self.column, self.sample, self.field = kind, message, hint, column, sample, field

    def fields(self):
        return {"kind": self.kind, "message": self.message, "hint": self.hint, "column": self.column, "sample": self.sample, "field": self.field}


def shortened(text, limit=2000):
    return text if len(text) <= limit else text[:limit] + "…"


def name_of(cls):
    module = getattr(cls, "__module__", "")
    return cls.__qualname__ if module in ("builtins", "__main__") else f"{module}.{cls.__qualname__}"


def describe(error):
    """The type and message of an exception, whose own methods may raise."""
    try:
        text = str(error)
    except Exception as e:
        text = f"<its text cannot be had: {type(e).__name__}>"
    name = type(error).__name__
    return name + (": " + shortened(text) if text else "")


def user_lines(error, folder, limit=5):
    """The last frames of the traceback that are in the job's folder, else the last ones outside drover: file, line, name, source."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename not in ("<stdin>", "<drover>")]
    frames = [f for f in frames if not f.filename.startswith("<frozen ")]
    own = [f for f in frames if os.path.isabs(f.filename) and within(f.filename, folder) and "site-packages" not in f.filename]
    return [f"{relative(f.filename, folder)}:{f.lineno} in {f.name}: {shortened(f.line or '', 200)}" for f in (own or frames)[-limit:]]


def within(path, folder):
    try:
        return os.path.commonpath([os.path.realpath(path), folder]) == folder
    except ValueError:
        return False


def relative(path, folder):
    return os.path.relpath(os.path.realpath(path), folder) if within(path, folder) else path


def set_path(folder):
    """The job's folder comes first, and the current directory is no place to import from."""
    sys.path[:] = [folder] + [p for p in sys.path if p not in ("", folder)]


def load(target, folder):
    """Returns the function that `file.py:name` or `package.module:name` names."""
    where, _, name = target.rpartition(":")
    if not where or not name:
        raise Refusal("invalid", f"{target} does not name a function", "write clean.py:clean, or package.module:clean")
    try:
        module = load_file(where, folder) if where.endswith(".py") else load_module(where, folder)
    except Refusal:
        raise
    except SyntaxError as e:
        place = f"{relative(e.filename or where, folder)}:{e.lineno or 0}"
        raise Refusal("invalid", f"{place}: {type(e).__name__}: {e.msg}" + (f": {e.text.strip()}" if e.text else "")) from None
    except BaseException as e:
        lines = "".join("\n  " + line for line in user_lines(e, folder))
        missing = e.name.partition(".")[0] if isinstance(e, ModuleNotFoundError) and e.name else ""
        if missing in FRAMES:
            need(dict.fromkeys([missing, "pyarrow"]), target)
        hint = f"{install([missing])}, or put it into {folder}" if missing else ""
        raise Refusal("invalid", f"{where} cannot be imported: {describe(e)}{lines}", hint) from e
    found = module
    for part in name.split("."):
        if not hasattr(found, part):
            have = sorted(n for n, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == module.__name__)
            raise Refusal("invalid", f"{where} has no function {name}", "it has " + ", ".join(have) if have else "")
        found = getattr(found, part)
    if not callable(found):
        raise Refusal("invalid", f"{target} is a {type(found).__name__}, not a function")
    return found


def load_file(where, folder):
    path = os.path.realpath(os.path.join(folder, where))
    if not within(path, folder):
        raise Refusal("invalid", f"{where} is outside of the job's folder {folder}", "move the file below it, or name an installed module: package.module:function")
    if not os.path.isfile(path):
        raise Refusal("invalid", f"{where} is not in the job's folder {folder}")
    beside = os.path.dirname(path)
    if beside not in sys.path:
        sys.path.insert(1, beside)
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules or name in sys.builtin_module_names or name in getattr(sys, "stdlib_module_names", ()):
        name = "drover_" + name
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def load_module(where, folder):
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as e:
        if e.name and (where == e.name or where.startswith(e.name + ".")):
            raise Refusal("invalid", f"there is no module {where} in the job's folder {folder} nor in {sys.executable}") from None
        raise


def takes_chunk(function, target):
    """Says whether the function has a second parameter, named chunk."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return False
    parameters = list(signature.parameters.values())
    given = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    keywords = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    rest = given[1:] + keywords
    chunk = [p for p in rest if p.name == "chunk" and p.kind is not p.POSITIONAL_ONLY]
    wanted = [p.name for p in rest if p.default is p.empty and p.name != "chunk"]
    anything = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if (not given and not anything) or wanted or (given and given[0].name == "chunk" and len(given) > 1):
        raise Refusal("invalid", f"{target} takes {signature}, and is called with a frame",
                      "give it one parameter, the frame, and a second one named chunk if it wants the chunk's key and run")
    if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
        raise Refusal("invalid", f"{target} is a coroutine or a generator, and must be a plain function that returns a frame")
    return bool(chunk)


FRAMES = ("pandas", "polars", "pyarrow")


def annotation_of(function):
    """The first parameter's annotation, or None."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return None
    if not parameters or parameters[0].annotation is inspect.Parameter.empty:
        return None
    return parameters[0].annotation


def frame_of(function):
    """The frame that the first parameter's annotation asks for, else pandas. Annotations may be text, and name what is not imported."""
    annotation = annotation_of(function)
    if annotation is None:
        return "pandas"
    if not isinstance(annotation, str):
        root = getattr(annotation, "__module__", "").partition(".")[0]
        return root if root in FRAMES else "pandas"
    text = annotation.strip("\"' ")
    head, _, last = text.rpartition(".")
    named = getattr(function, "__globals__", {}).get(head.partition(".")[0] or last)
    owner = getattr(named, "__module__", None) or getattr(named, "__name__", "")
    root = owner.partition(".")[0] or head.partition(".")[0]
    root = {"pd": "pandas", "pl": "polars", "pa": "pyarrow"}.get(root, root)
    return root if root in FRAMES else "pandas"


def takes_lazy(function):
    """Says whether the annotation is polars.LazyFrame."""
    annotation = annotation_of(function)
    if isinstance(annotation, str):
        head, _, last = annotation.strip("\"' ").rpartition(".")
        if head:
            return last == "LazyFrame"
        annotation = getattr(function, "__globals__", {}).get(last)
    return isinstance(annotation, type) and any(c.__name__ == "LazyFrame" for c in annotation.__mro__)
