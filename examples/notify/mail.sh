#!/bin/sh
# A mail for each event. In the settings:  notify: {command: "./mail.sh ann@example.org"}
# Needs a `sendmail` (postfix, exim, msmtp-mta, nullmailer all bring one). Its exit status decides whether the mail is
# tried again.
set -eu
to=${1:?"usage: mail.sh ADDRESS"}
host=${LLAMAAGENT_EVENT_HOST:-$(hostname)}
{
    printf 'To: %s\n' "$to"
    printf 'Subject: [%s] llamaagent: %s %s\n' "$host" "$LLAMAAGENT_EVENT_EVENT" "$LLAMAAGENT_EVENT_PROFILE"
    printf 'Content-Type: text/plain; charset=utf-8\n\n'
    printf '%s\n\n' "$LLAMAAGENT_EVENT_TEXT"
    printf 'time:  %s\nstate: %s\nsite:  %s\n' \
        "$LLAMAAGENT_EVENT_TIME" "$LLAMAAGENT_EVENT_STATE" "$LLAMAAGENT_EVENT_SITE"
} | sendmail -i -- "$to"
