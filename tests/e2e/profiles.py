"""What reads our profiles, apart from the program's own code: a reader of pprof's messages (by the
numbers in github.com/google/pprof, proto/profile.proto), and a server that takes what is pushed."""
import contextlib
import gzip
import http.server
import queue
import threading

DEADLINE = 60


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def fields(data):
    """(number, value) of a message's fields in their order; a value is an int or bytes."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
        else:
            assert key & 7 == 2, f"wire type {key & 7}"
            size, at = varint(data, at)
            value, at = data[at:at + size], at + size
            assert len(value) == size
        yield key >> 3, value


def message(data):
    """The last value of each field."""
    return dict(fields(data))


def numbers(data):
    """A repeated number, packed."""
    at, values = 0, []
    while at < len(data):
        value, at = varint(data, at)
        values.append(value)
    return values


class Profile:
    """A pprof profile, decompressed and with all that it refers to."""

    def __init__(self, compressed):
        parts = {}
        for number, value in fields(gzip.decompress(compressed)):
            parts.setdefault(number, []).append(value)
        text = [value.decode() for value in parts[6]]
        assert text[0] == ""
        types = [message(value) for value in parts.get(1, [])]
        self.types = [text[each[1]] for each in types]
        self.units = {text[each[1]]: text[each[2]] for each in types}
        self.default = text[parts[14][0]]
        self.time, self.duration = parts[9][0] / 1e9, parts[10][0] / 1e9
        self.comments = [text[number] for part in parts[13] for number in numbers(part)]
        mappings = {each[1]: (text[each.get(5, 0)], text[each.get(6, 0)])
                    for each in map(message, parts.get(3, []))}
        self.mappings = list(mappings.values())
        functions = {each[1]: (text[each[2]], text[each.get(4, 0)]) for each in map(message, parts.get(5, []))}
        locations = {}
        for data in parts.get(4, []):
            lines = [message(value) for number, value in fields(data) if number == 4]
            locations[message(data)[1]] = [(*functions[line[1]], line.get(2, 0)) for line in lines]
        self.samples = []  # frames as (function, file, line), innermost first; values by type
        for data in parts.get(2, []):
            sample = message(data)
            values = [value - (1 << 64) if value >> 63 else value for value in numbers(sample[2])]
            assert len(values) == len(self.types)
            frames = [frame for number in numbers(sample[1]) for frame in locations[number]]
            self.samples.append((frames, dict(zip(self.types, values))))

    def sum(self, name, within=None):
        """Of all samples but those that no site accounts for; within: a function that is called in them."""
        return sum(values[name] for frames, values in self.samples
                   if not (frames and frames[0][0] in ("[from before the attach]", "[freed by nobody seen]",
                                                       "[pymalloc's arenas]"))
                   and (not within or any(frame[0] == within for frame in frames)))

    def whole(self, name):
        return sum(values[name] for _, values in self.samples)


class Server(http.server.ThreadingHTTPServer):
    """Keeps what is posted to it; answers with `status`, or not at all until it is closed."""
    daemon_threads = True

    def __init__(self, status):
        self.status = status
        self.requests = queue.Queue()
        self.over = threading.Event()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def next(self):
        """The next request: (path with query, headers, body)."""
        return self.requests.get(timeout=DEADLINE)

    def rest(self):
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self.requests.get_nowait())
        return found


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.put((self.path, self.headers, body))
        if self.server.status is None:
            self.server.over.wait()
            return
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(b"the stand-in says so\nand more")

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def serving(status=200):
    server = Server(status)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
