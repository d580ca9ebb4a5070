# What the interpreter has: versions, requirements, and which files of the job's folder were loaded.
import hashlib
import re
import shlex


def has(module):
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def install(packages):
    return f"{shlex.quote(sys.executable)} -m pip install " + " ".join(shlex.quote(p) for p in packages)


def need(modules, target):
    """Refuses an interpreter without what the bridge needs."""
    missing = [m for m in modules if not has(m)]
    if missing:
        raise Refusal("invalid", f"{sys.executable} has no {' and no '.join(missing)}, which {target} needs", install(missing))


def check_requirements(requirements):
    unmet, said = [], []
    for i, text in enumerate(requirements):
        name, holds = parse_requirement(text, f"python_env.requirements[{i}]")
        if name is None:
            continue
        version = version_of(name)
        if version is None:
            said.append(f"{name} is not installed")
        elif not holds(version):
            said.append(f"{name} is {version}, not {text}")
        else:
            continue
        unmet.append(text)
    if unmet:
        raise Refusal("invalid", f"{sys.executable} does not meet python_env.requirements: {'; '.join(said)}", install(unmet))


def version_of(name):
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


REQUIREMENT_HINT = "write a package and versions of it with ==, !=, >=, <=, >, < or ~=, such as pandas>=2,<4"
# A clause of a version (PEP 440). Earlier releases of packaging take others, and compare texts.
CLAUSE = re.compile(r"(~=|===|==|!=|<=|>=|<|>)\s*v?(\d+!)?\d+(\.\d+)*([._-]?[a-z]+[._-]?\d*)*(-\d+)?(\.\*)?(\+[a-z0-9._-]+)?", re.IGNORECASE)


def parse_requirement(text, field=""):
    """The package that a requirement (PEP 508) names and a test of a version; no name where its marker does not concern this interpreter."""
    library = None
    for module in ("packaging.requirements", "pip._vendor.packaging.requirements"):
        try:
            library = importlib.import_module(module)
            break
        except ImportError:
            pass
    if library is not None:
        try:
            r = library.Requirement(text)
        except library.InvalidRequirement as e:
            raise Refusal("invalid", f"{field}: {text!r} is not a requirement: {shortened(str(e), 200)}", REQUIREMENT_HINT, field=field) from None
        for clause in r.specifier:
            if not CLAUSE.fullmatch(str(clause).strip()):
                raise Refusal("invalid", f"{field}: {text!r} is not a requirement: {clause} is no version of {r.name}", REQUIREMENT_HINT, field=field)
        if r.marker is not None and not r.marker.evaluate():
            return None, None
        return r.name, lambda version: r.specifier.contains(version, prereleases=True)
    # An environment without pip: the plain form of a requirement, on releases.
    m = re.fullmatch(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)\s*((?:(?:>=|<=|==|!=|<|>)\s*\d+(?:\.\d+)*\s*,?\s*)*)", text)
    if m is None:
        raise Refusal("invalid", f"{field}: {text!r} cannot be checked without the package packaging, if it is a requirement",
                      f"{REQUIREMENT_HINT}; or {install(['packaging'])}", field=field)
    tests = re.findall(r"(>=|<=|==|!=|<|>)\s*(\d+(?:\.\d+)*)", m[2])
    return m[1], lambda version: all(release_holds(version, operator, wanted) for operator, wanted in tests)


def release_holds(version, operator, wanted):
    """Compares releases; a version before its release (3.0rc1) counts as below it."""
    m = re.match(r"(?:\d+!)?(\d+(?:\.\d+)*)(.*)", version)
    have, want = [int(p) for p in m[1].split(".")], [int(p) for p in wanted.split(".")]
    while len(have) < len(want):
        have.append(0)
    while len(want) < len(have):
        want.append(0)
    before = re.match(r"[._-]?(a|b|c|rc|alpha|beta|pre|preview|dev)", m[2]) is not None
    order = (have > want) - (have < want) or (-1 if before else 0)
    return {">=": order >= 0, "<=": order <= 0, "==": order == 0, "!=": order != 0, "<": order < 0, ">": order > 0}[operator]


def loaded_files(folder):
    """The modules that were loaded from below the job's folder, without those of an environment that lies there."""
    found = []
    for name, module in sorted(sys.modules.items()):
        path = getattr(module, "__file__", None)
        if not path or not os.path.isabs(path) or not within(path, folder):
            continue
        path = os.path.realpath(path)
        place = relative(path, folder).replace(os.sep, "/")
        if "site-packages" in place or "dist-packages" in place or within(path, os.path.realpath(sys.prefix)) and not within(folder, os.path.realpath(sys.prefix)):
            continue
        with open(path, "rb") as f:
            found.append({"path": place, "sha256": hashlib.sha256(f.read()).hexdigest()})
    return sorted({f["path"]: f for f in found}.values(), key=lambda f: f["path"])


def versions(frame):
    found = {m: version_of(m) for m in ("pyarrow", "numpy", frame)}
    return {name: version for name, version in found.items() if version is not None}
