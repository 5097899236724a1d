# lib.sh: what ./setup and ./check share: progress, root, Debian packages, the build.
# SPDX-License-Identifier: AGPL-3.0-or-later

export npm_config_update_notifier=false

say()  { printf '\033[1m==> %s\033[0m\n' "$*"; }
note() { printf '    %s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else fail "this needs root: install sudo, or run as root: $*"
    fi
}

# packages_need FILE: installs those of its packages that are missing; # starts a comment.
packages_need() {
    local missing=() name
    while read -r name; do
        case $name in nodejs|npm)       # another one than Debian's is as good
            command -v "${name%js}" >/dev/null && continue ;;
        esac
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || missing+=("$name")
    done < <(sed 's/#.*//' "$1" | tr -s ' \t' '\n' | grep .)
    [ ${#missing[@]} = 0 ] && { note "packages: all there"; return; }
    command -v apt-get >/dev/null || fail "these packages are missing, and this is no Debian: ${missing[*]}"
    note "installing ${missing[*]}"
    as_root apt-get -qq update || fail "apt-get update failed: is there a network?"
    DEBIAN_FRONTEND=noninteractive as_root apt-get -qq install -y --no-install-recommends "${missing[@]}" >/dev/null \
        || fail "apt-get could not install: ${missing[*]}"
}

# build_tree DIR [MESON OPTION…]: configures once, builds what changed.
build_tree() {
    local dir=$1; shift
    if [ ! -f "$dir/build.ninja" ]; then
        meson setup "$dir" "$@" >"$dir.log" 2>&1 || { tail -20 "$dir.log" >&2; fail "meson could not configure $dir"; }
        rm -f "$dir.log"
    fi
    # On a terminal ninja counts on one line; elsewhere it would print hundreds.
    if [ -t 1 ]; then ninja -C "$dir"; else note "compiling into $dir, about a minute the first time"; ninja -C "$dir" --quiet; fi \
        || fail "the build failed; the lines above say where"
}

# web_build: the app into web/dist, if anything changed. The server runs without it.
web_build() {
    if [ -f web/dist/index.html ] \
       && [ -z "$(find web/src web/public web/tools web/index.html web/package-lock.json web/vite.config.ts -newer web/dist/index.html -print -quit)" ]; then
        note "web app: up to date"
        return
    fi
    command -v npm >/dev/null || { note "web app: not built, npm is missing; the rest works without it"; return; }
    ( cd web && npm ci --no-fund --no-audit --loglevel=error >/dev/null && npm run build --silent >/dev/null ) \
        || { note "web app: not built (cd web && npm ci && npm run build says why); the rest works without it"; return; }
    note "web app: built"
}
