"""The operator's verbs, and where clients go."""

from __future__ import annotations

from llamaagent.cli.commands.words import ALL, DAILY, FOR, NAMES, NO_WAIT, NOTE, TIMEOUT, UNTIL
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec

STEER = (
    Spec(
        "start",
        DAILY,
        "Start profiles now, whatever their files say, until reset.\n\n"
        "A profile that the agent gave up on is tried again. Where there is no room, instances of lower priority make "
        "way, as in a pass for all; when none may, the answer is 77 with the reason.",
        "verbs:start",
        (ALL, FOR, UNTIL, TIMEOUT, NO_WAIT, NOTE),
        (NAMES,),
        "llamaagent start qwen",
    ),
    Spec(
        "stop",
        DAILY,
        "Stop profiles now and keep them stopped until reset.",
        "verbs:stop",
        (ALL, FOR, UNTIL, TIMEOUT, NO_WAIT, NOTE),
        (NAMES,),
        "llamaagent stop qwen --for 2h",
    ),
    Spec(
        "restart",
        DAILY,
        "Stop profiles and start them again.\n\n"
        "Everything that could stand in the way of the new launch is asked first: refused is 77, and what ran runs on. "
        "A changed profile that was rolled back is tried once more as its file says.",
        "verbs:restart",
        (
            ALL,
            Opt("outdated", ("--outdated",), "Those that run an old build or model file, one by one."),
            TIMEOUT,
            NO_WAIT,
            NOTE,
        ),
        (NAMES,),
        "llamaagent restart --outdated",
    ),
    Spec(
        "reset",
        DAILY,
        "Back to what the file says: forget start and stop.",
        "verbs:reset",
        (ALL, TIMEOUT, NO_WAIT, NOTE),
        (NAMES,),
        "llamaagent reset qwen",
    ),
    Spec(
        "rm",
        DAILY,
        "Retire what no file declares.\n\nStops it and marks its rows deleted; the history stays. "
        "A model that was only imported is forgotten with its options.",
        "verbs:rm",
        (TIMEOUT, NOTE),
        (Arg("name", "Profiles or imported models; * and ? match.", many=True, required=True),),
        "llamaagent rm old-model",
    ),
    Spec(
        "detach",
        DAILY,
        "Forget an instance and leave it running.",
        "verbs:detach",
        (TIMEOUT, NOTE),
        (Arg("name", "Profiles; * and ? match.", many=True, required=True),),
        "llamaagent detach qwen",
    ),
    Spec(
        "url",
        DAILY,
        "Where clients go: the address of an instance.",
        "url:run",
        (),
        (Arg("name", "A profile.", required=True),),
        "curl $(llamaagent url qwen)/health",
    ),
    Spec(
        "env",
        DAILY,
        "The lines that point OpenAI clients at an instance.",
        "url:env",
        (),
        (Arg("name", "A profile.", required=True),),
        'eval "$(llamaagent env qwen)"',
    ),
    Spec(
        "doctor",
        DAILY,
        "What is wrong or risky here, each with its remedy.\n\n"
        "Exits 1 when there is an error or a warning; what is only worth knowing changes nothing.",
        "doctor:run",
        LISTING,
        (),
        "llamaagent doctor",
    ),
)
