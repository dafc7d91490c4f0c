#!/bin/sh
# A message to a phone by ntfy (ntfy.sh or a server of your own). In the settings:  notify: {command: ./ntfy.sh}
# Beside this script lies ntfy.conf, mode 0600:
#     NTFY_URL=https://ntfy.sh/a-topic-that-nobody-guesses
#     NTFY_TOKEN=tk_...        (only where the server asks for one)
# Address and token go to curl through a pipe, so that no process list shows it.
set -eu
. "$(dirname "$0")/ntfy.conf"
case $LLAMAAGENT_EVENT_EVENT in
    recovered) priority=default tags=white_check_mark ;;
    crash | gave_up | disk_low) priority=high tags=rotating_light ;;
    *) priority=default tags=warning ;;
esac
{
    printf 'url = "%s"\n' "$NTFY_URL"
    [ -z "${NTFY_TOKEN:-}" ] || printf 'header = "Authorization: Bearer %s"\n' "$NTFY_TOKEN"
} | curl --silent --show-error --fail --max-time 15 --output /dev/null --config - \
    --header "Title: $LLAMAAGENT_EVENT_HOST: $LLAMAAGENT_EVENT_EVENT $LLAMAAGENT_EVENT_PROFILE" \
    --header "Priority: $priority" --header "Tags: $tags" --data-raw "$LLAMAAGENT_EVENT_TEXT"
