#!/bin/sh
# Puts new replicas in the place of the old ones, one at a time, so that no request fails. Run it in the folder of
# docker-compose.yml after `docker compose build`, or after a change of the settings. COMPOSE_FILE names further files.
set -eu

say() { echo "rollout: $*" >&2; }
fail() { say "$@"; exit 1; }
short() { echo "${1#sha256:}" | cut -c 1-12; }

old=$(docker compose ps --quiet thimble) || fail "nothing was changed, for Docker Compose does not say what runs"
count=$(echo "$old" | wc -w)
[ "$count" -gt 0 ] || fail "no replica runs, so there is none to replace: docker compose up"
images=$(docker compose config --images thimble) || fail "nothing was changed, for Docker Compose names no image"
image=$(echo "$images" | sort -u) # it names that of what the service depends on too, which is the same
to=$(docker image inspect --format '{{.Id}}' "$image") || fail "there is no image $image: docker compose build"
to=$(short "$to")
say "$count replicas, each to be replaced by one of image $to ($image)"

take_away() { # what was started last, unless it is among those before
    for new in $(docker compose ps --all --quiet thimble); do
        case $before in *"$new"*) continue ;; esac
        say "taking the new one away, $(short "$new"); it said at its end:"
        docker logs --tail 10 "$new" >&2
        docker rm --force "$new" >/dev/null
    done
}

number=0
before=$(docker compose ps --all --quiet thimble)
trap 'take_away; fail "a signal ended it"' INT TERM
trap '[ "$number" = "$count" ] || say "stopped after $number of $count; all that run go on to answer"' EXIT
for replica in $old; do
    from=$(docker inspect --format '{{.Image}}' "$replica")
    say "$((number + 1)) of $count: $(short "$replica") is of image $(short "$from"); starting one of $to beside it"
    if ! docker compose up --detach --wait --no-build --no-deps --no-recreate --scale "thimble=$((count + 1))" thimble; then
        take_away
        fail "the new one did not become healthy"
    fi
    before=$(docker compose ps --all --quiet thimble)
    say "$((number + 1)) of $count: the new one is healthy; $(short "$replica") answers what it has accepted, and ends"
    docker stop "$replica" >/dev/null # it drains
    docker rm "$replica" >/dev/null
    number=$((number + 1))
done
say "done: $count of $count replicas are of image $to"
