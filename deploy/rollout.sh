#!/bin/sh
# Puts new replicas in the place of the old ones, one at a time, so that no request fails. Run it in the folder of
# docker-compose.yml after `docker compose build`, or after a change of the settings. COMPOSE_FILE names further files.
set -eu

old=$(docker compose ps --quiet thimble)
one_more=$(($(echo "$old" | wc -w) + 1))
for replica in $old; do
    docker compose up --detach --wait --no-build --no-deps --no-recreate --scale "thimble=$one_more" thimble
    docker stop "$replica" # it drains, and answers what it has accepted
    docker rm "$replica"
done
