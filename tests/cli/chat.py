"""Chats through a pseudo-terminal: prompt, answer, Ctrl-C, commands, history, leaving; and what other
commands do at one."""

import os
import pty
import re
import select
import shutil
import signal
import tempfile
import termios
import time
from string import Template

UP, CTRL_C, CTRL_D = b"\x1b[A", b"\x03", b"\x04"
WAIT_S = 30
TESTS = []


class Mismatch(Exception):
    pass


def started(*arguments, **variables):
    """Makes a test: how its program is called; $MODEL and $CHAT are replaced."""
    def mark(test):
        test.arguments, test.variables = arguments, variables
        TESTS.append(test)
        return test
    return mark


plainly = started("run", "$MODEL", "--temperature", "0")


class Terminal:
    """A program on a pseudo-terminal, with what it printed so far."""

    def __init__(self, argv, env):
        self.argv, self.env = argv, env
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvpe(argv[0], argv, env)
        self.before = termios.tcgetattr(self.fd)
        self.text = ""

    def read(self, seconds):
        """Whether anything came within that time."""
        if not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            self.text += os.read(self.fd, 65536).decode("utf-8", "replace")
        except OSError:  # the program has ended
            return False
        return True

    def expect(self, pattern):
        """Waits for the pattern and drops everything up to its end."""
        end = time.monotonic() + WAIT_S
        while True:
            plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.text)
            found = re.search(pattern, plain)
            if found:
                self.text = plain[found.end():]
                return found
            if time.monotonic() > end or (not self.read(0.2) and self.ended()):
                raise Mismatch(f"waited for {pattern!r}, got:\n{plain}")

    def type(self, keys):
        os.write(self.fd, keys if isinstance(keys, bytes) else keys.encode())

    def ended(self):
        if self.pid is None:
            return True
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.pid, self.status = None, status
        return bool(pid)

    def expect_exit(self, code):
        end = time.monotonic() + WAIT_S
        while not self.ended():
            self.read(0.1)
            if time.monotonic() > end:
                raise Mismatch(f"does not end; printed:\n{self.text}")
        while self.read(0):
            pass
        got = os.waitstatus_to_exitcode(self.status)
        if got != code:
            raise Mismatch(f"exit code {got}, expected {code}; printed:\n{self.text}")

    def expect_terminal_restored(self):
        if termios.tcgetattr(self.fd)[:4] != self.before[:4]:
            raise Mismatch("the terminal's modes are not what they were")

    def close(self):
        if self.pid is not None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.fd)


@plainly
def a_question_gets_an_answer_and_ctrl_d_leaves(t):
    t.expect(r">>> ")
    t.type("Once upon a time\r")
    t.expect(r"Once upon a time\r\n\S[^\n]*\S")
    t.expect(r">>> ")
    t.type(CTRL_D)
    t.expect_exit(0)
    t.expect_terminal_restored()


@plainly
def help_lists_the_commands(t):
    t.expect(r">>> ")
    t.type("/help\r")
    for name in ("help", "clear", "system TEXT", "stats", "set NAME VALUE", "bye"):
        t.expect(r"/" + name)
    t.expect(r">>> ")
    t.type("/bye\r")
    t.expect_exit(0)
    t.expect_terminal_restored()


@plainly
def a_slip_in_a_command_is_pointed_out(t):
    t.expect(r">>> ")
    t.type("/hlep\r")
    t.expect(r"did you mean /help\?")
    t.expect(r">>> ")
    t.type("/bye\r")
    t.expect_exit(0)


@plainly
def ctrl_c_stops_the_answer_and_not_the_program(t):
    t.expect(r">>> ")
    t.type("Once upon a time\r")
    t.expect(r"Once upon a time\r\n\S+ \S+")
    t.type(CTRL_C)
    t.expect(r">>> ")
    t.type("/set max-tokens 3\r")
    t.expect(r"max-tokens is 3")
    t.expect(r">>> ")
    t.type("again\r")
    t.expect(r"again\r\n")
    t.expect(r"cut at 3 tokens")
    t.expect(r">>> ")
    t.type("/bye\r")
    t.expect_exit(0)


@plainly
def ctrl_c_twice_at_the_prompt_leaves(t):
    t.expect(r">>> ")
    t.type("half a line")
    t.expect(r"half a line")
    t.type(CTRL_C)
    t.expect(r"Ctrl-D or /bye leaves")
    t.expect(r">>> ")
    t.type(CTRL_C)
    t.expect_exit(130)
    t.expect_terminal_restored()


@plainly
def history_brings_back_the_line_before(t):
    t.expect(r">>> ")
    t.type("/set max-tokens 3\r")
    t.expect(r"max-tokens is 3")
    t.expect(r">>> ")
    t.type("/stats\r")
    t.expect(r"tokens of context in use")
    t.expect(r">>> ")
    t.type(UP)
    t.expect(r"/stats")
    t.type("\r")
    t.expect(r"tokens of context in use")
    t.expect(r">>> ")
    t.type("/bye\r")
    t.expect_exit(0)


@plainly
def history_outlives_the_program(t):
    t.expect(r">>> ")
    t.type("/set max-tokens 4\r")
    t.expect(r"max-tokens is 4")
    t.expect(r">>> ")
    t.type(CTRL_D)
    t.expect_exit(0)
    again = Terminal(t.argv, t.env)
    try:
        again.expect(r">>> ")
        again.type(UP)
        again.expect(r"/set max-tokens 4")
        again.type("\r")
        again.expect(r"max-tokens is 4")
        again.expect(r">>> ")
        again.type(CTRL_D)
        again.expect_exit(0)
    finally:
        again.close()


@plainly
def ctrl_c_drops_a_line_however_often(t):
    t.expect(r">>> ")
    for _ in range(2):
        t.type("half a line")
        t.expect(r"half a line")
        t.type(CTRL_C)
        t.expect(r"leaves\)")
        t.expect(r">>> ")
    t.type(CTRL_D)
    t.expect_exit(0)


@plainly
def several_lines_make_one_message(t):
    t.expect(r">>> ")
    t.type("/set max-tokens 3\r")
    t.expect(r">>> ")
    t.type("one \\\r")
    t.expect(r"\.\.\. ")
    t.type("two\r")
    t.expect(r"two\r\n")
    t.expect(r"cut at 3 tokens")
    t.expect(r">>> ")
    t.type('"""three\r')
    t.expect(r"\.\.\. ")
    t.type('four"""\r')
    t.expect(r'four"""\r\n')
    t.expect(r"cut at 3 tokens")
    t.expect(r">>> ")
    t.type("/bye\r")
    t.expect_exit(0)


@plainly
def settings_are_checked(t):
    t.expect(r">>> ")
    t.type("/set top-p 7\r")
    t.expect(r"--top-p takes a number from 0 to 1, not 7")
    t.expect(r">>> ")
    t.type("/set temprature 1\r")
    t.expect(r"did you mean temperature\?")
    t.expect(r">>> ")
    t.type("/set\r")
    t.expect(r"temperature")
    t.expect(r">>> ")
    t.type(CTRL_D)
    t.expect_exit(0)


@plainly
def sigterm_ends_an_answer_and_the_program(t):
    t.expect(r">>> ")
    t.type("Once upon a time\r")
    t.expect(r"Once upon a time\r\n\S+ ")
    os.kill(t.pid, signal.SIGTERM)
    t.expect_exit(130)
    t.expect_terminal_restored()


@plainly
def sigterm_at_the_prompt_ends_the_program(t):
    t.expect(r">>> ")
    t.type("half a line")
    t.expect(r"half a line")
    os.kill(t.pid, signal.SIGTERM)
    t.expect_exit(130)
    t.expect_terminal_restored()


@started("run", "$CHAT", "--temperature", "0", "--stats")
def the_conversation_is_remembered(t):
    """With a chat template, each turn stands on those before: its prompt grows, and is partly known."""
    t.expect(r">>> ")
    t.type("/set max-tokens 4\r")
    t.expect(r">>> ")
    t.type("one\r")
    t.expect(r"prompt (\d+) tokens")
    t.expect(r">>> ")
    t.type("two\r")
    t.expect(r"prompt (\d+) tokens, (\d+) of them known")
    t.expect(r">>> ")
    t.type("/system Be brief.\r")
    t.expect(r"begins anew")
    t.expect(r">>> ")
    t.type("/bye\r")
    t.expect_exit(0)


@started("run", "$MODEL", "Once upon a time", "--temperature", "0", "-n", "5")
def one_answer_at_a_terminal_ends_with_what_it_cost(t):
    t.expect(r", there was a little\r\n\[prompt 5 tokens, .*answer 5 tokens, .*peak memory .*\]\r\n")
    t.expect_exit(0)


@started("run", "$MODEL", "Once upon a time", "--temperature", "0", "--ignore-eos")
def ctrl_c_ends_one_answer_with_130(t):
    t.expect(r", there was")
    t.type(CTRL_C)
    t.expect_exit(130)
    t.expect_terminal_restored()


@started("eval", "$MODEL", "--tasks", "gsm8k", "--items", "$ROOT/tasks/arithmetic.jsonl",
         "--max-tokens", "400", "--json")
def ctrl_c_ends_an_evaluation_with_what_there_is_marked(t):
    t.expect(r"gsm8k: \w+, [1-9]")
    t.type(CTRL_C)
    t.expect(r'"n": [1-9]')
    t.expect(r'"valid": false')
    t.expect(r"ended after [1-9]\d* of 200 items")
    t.expect_exit(130)


@started("help")
def headings_are_bold_at_a_terminal(t):
    t.expect_exit(0)
    if "\x1b[1mCommands\x1b[0m" not in t.text:
        raise Mismatch("no bold heading in:\n" + t.text)


@started("help", NO_COLOR="1")
def no_color_is_honoured(t):
    t.expect_exit(0)
    if "\x1b" in t.text or "Commands" not in t.text:
        raise Mismatch("an escape sequence in:\n" + t.text)


def run_one(test, hone, env):
    arguments = [Template(a).safe_substitute(env) for a in test.arguments]
    terminal = Terminal([str(hone), *arguments], env)
    try:
        test(terminal)
    except (Mismatch, OSError) as problem:
        return str(problem)
    finally:
        terminal.close()
    return None


def run_all(hone, shared, environment):
    """(passed, failed, skipped)"""
    passed = failed = skipped = 0
    for test in TESTS:
        name = test.__name__.replace("_", " ")
        if not shared and {"$MODEL", "$CHAT"} & set(test.arguments):
            print(f"skipped chat.py {name}: no reference data")
            skipped += 1
            continue
        folder = tempfile.mkdtemp(prefix="hone-chat-")
        env = environment(hone, shared, folder)
        env.update(TERM="xterm", **test.variables)
        problem = run_one(test, hone, env)
        shutil.rmtree(folder, ignore_errors=True)
        if problem:
            print(f"FAILED chat.py {name}\n    " + problem.replace("\n", "\n    "))
            failed += 1
        else:
            passed += 1
    return passed, failed, skipped
