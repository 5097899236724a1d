#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""source.py: what no compiler checks: arrows between folders, licences, documents that are printed by programs."""
import os
import re
import subprocess
import sys

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(TOP, "build/src/processes")
# Bottom up; a folder sees those before it. The build gives the include paths; this sees each line.
PLATFORM = ["base", "wire", "crypto", "net", "db", "bus", "proc"]
CORE = ["id", "courier", "files", "talk", "ledger"]
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
CODE = (".c", ".h", ".ts", ".py", ".css", ".sh", ".js")
NO_HEADER_NEEDED = re.compile(r"(\.md|\.json|\.webmanifest|\.svg|\.png|\.doap|\.xmpp|\.dict|/LICENSE|\.gitignore|\.clang-format|\.service|meson_options\.txt|tests/operate/exports/.*\.xml)$")


def files():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=TOP, capture_output=True, text=True)
    return [f for f in listed.stdout.splitlines() if os.path.isfile(os.path.join(TOP, f)) and not f.startswith(("tests/fuzz/", "tests/operate/exports/"))]


def read(path):
    with open(os.path.join(TOP, path), errors="replace") as f:
        return f.read()


def sources():
    return [f for f in files() if f.endswith((".c", ".h"))]


def arrows_point_down():
    for f in sources():
        parts = f.split("/")
        if parts[0] != "src":
            continue
        for included in INCLUDE.findall(read(f)):
            target = included.split("/")[0]
            if parts[1] == "platform":
                if target not in PLATFORM or PLATFORM.index(target) > PLATFORM.index(parts[2]):
                    yield f"{f} includes {included}"
            elif parts[1] == "core" and "/" in included and target not in PLATFORM \
                    and (target not in CORE or CORE.index(target) > CORE.index(parts[2])):
                yield f"{f} includes {included}"


def includes_are_rooted():
    return (f"{f} includes {i}" for f in sources() for i in INCLUDE.findall(read(f)) if i.startswith(".."))


def every_file_names_its_licence():
    for f in files():
        if (f.endswith(CODE) or not NO_HEADER_NEEDED.search("/" + f)) and not os.path.islink(os.path.join(TOP, f)) \
                and "SPDX-License-Identifier: AGPL-3.0-or-later" not in read(f)[:2500]:
            yield f


def every_folder_of_code_has_a_readme():
    return sorted({os.path.dirname(f) for f in sources() if f.startswith("src/")}
                  - {os.path.dirname(f) for f in files() if f.endswith("README.md")})


def output(*words):
    return subprocess.run([os.path.join(BUILD, "bongsu"), *words], capture_output=True, text=True, check=True).stdout


def equal(path, text):
    return [] if os.path.exists(os.path.join(TOP, path)) and read(path) == text else [f"{path} is not what the program prints"]


def doap_is_the_feature_table():
    return equal("docs/xmpp.doap", output("doap"))


def settings_document_is_the_tables():
    sample = output("config", "sample")
    document = read("docs/settings.md")
    return [] if "```\n" + sample + "```\n" in document else ["docs/settings.md is not `bongsu config sample`"]


def the_sample_is_good_settings():
    sample = re.sub(r"^#(\S+ = )", r"\1", output("config", "sample"), flags=re.M)
    path = os.path.join(TOP, "build/check/sample.conf")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(sample + "tls.certificate =\n")
    done = subprocess.run([os.path.join(BUILD, "bongsu"), "config", "check", "--config", path], capture_output=True, text=True)
    return [] if done.returncode == 0 else [done.stderr]


def proofs_name_what_exists():
    return (f"{document} names {p}" for document in ("docs/promises.md", "docs/compliance.md") for p in re.findall(r"`(tests/[\w./-]+)", read(document))
            if not os.path.exists(os.path.join(TOP, p)))


def what_the_suites_ask_for_is_spoken():
    asked = {n for row in re.findall(r"^\|[^|]*\|[^|]*\|([^|]*)\|", read("docs/compliance.md"), re.M) for n in re.findall(r"XEP-(\d{4})", row)}
    spoken = set(re.findall(r"xep-(\d{4})", read("docs/xmpp.doap")))
    return (f"docs/compliance.md names XEP-{n}, docs/xmpp.doap does not" for n in sorted(asked - spoken))


def linked(program):
    done = subprocess.run(["nm", "--defined-only", os.path.join(BUILD, program)], capture_output=True, text=True, check=True)
    return {line.split()[-1] for line in done.stdout.splitlines()}


def the_linker_keeps_roles_apart():
    # web opens a database since it keeps uploaded files: its own index, web.db. What it must not have is the code that knows
    # messages and accounts, their tables and their secrets.
    cannot = {"bongsu-web": ("talk_new", "archive_migrations", "message_put", "account_credential", "ident_secret", "id_migrations",
                             "features_migrations", "courier_new"),
              "bongsu-ident": ("talk_new", "files_read", "store_new"),
              "bongsu-talk": ("account_credential", "files_read", "store_new", "slot_sign", "courier_new"),
              "bongsu-courier": ("account_credential", "talk_new", "files_read", "store_new"), "bongsu": ("talk_new", "store_new", "courier_new")}
    for program, symbols in cannot.items():
        for symbol in set(symbols) & linked(program):
            yield f"{program} links {symbol}"


TESTS = (arrows_point_down, includes_are_rooted, every_file_names_its_licence, every_folder_of_code_has_a_readme,
         doap_is_the_feature_table, settings_document_is_the_tables, the_sample_is_good_settings, proofs_name_what_exists,
         what_the_suites_ask_for_is_spoken,
         the_linker_keeps_roles_apart)


def main():
    failed = 0
    for test in TESTS:
        try:
            faults = list(test())
        except (OSError, subprocess.SubprocessError) as e:
            faults = [f"could not look: {e}"]
        failed += bool(faults)
        print(("FAIL  " if faults else "ok    ") + test.__name__ + "".join(f"\n      {f}" for f in faults[:20]))
    print(f"{len(TESTS) - failed} passed, {failed} failed, 0 skipped")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
