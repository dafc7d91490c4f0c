"""Asking the servers: completions, conversations, embeddings; the response cache."""

from __future__ import annotations

from llamaagent.cli.commands.words import GENERATIONS, LIMIT
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec

_MODEL = Opt(
    "model", ("--model", "-m"), "A profile; * and ? match (default: the only one that runs).", "text", "NAME"
)
_START = Opt("start", ("--start",), "Start it when it does not run, and wait until it does.")
_TIMEOUT = Opt("timeout", ("--timeout",), "How long to wait for the answer (default 10m).", "text", "TIME")
_SESSION = Opt(
    "session",
    ("--session",),
    "Group it with others in the statistics (default $LLAMAAGENT_SESSION).",
    "text",
    "ID",
)
_JSON = Opt("json", ("--json",), "One JSON object: text, usage, timings, cache.")
_CACHE = (
    Opt("cache", ("--cache",), "Use the response cache, whatever `cache.enabled` says."),
    Opt("no_cache", ("--no-cache",), "Do not use it."),
    Opt("ttl", ("--ttl",), "For how long a new answer is kept (default `cache.ttl`).", "text", "TIME"),
    Opt("single_flight", ("--single-flight",), "Wait for another that computes the same answer."),
)
_SAMPLING = (
    Opt("n_predict", ("-n", "--n-predict"), "At most so many tokens.", "text", "N"),
    Opt("temp", ("--temp",), "Temperature.", "text", "X"),
    Opt("top_k", ("--top-k",), "Only the N likeliest tokens.", "text", "N"),
    Opt("top_p", ("--top-p",), "Only the likeliest tokens that together have this probability.", "text", "X"),
    Opt("min_p", ("--min-p",), "Only tokens at least so likely, measured by the likeliest.", "text", "X"),
    Opt("seed", ("--seed",), "Seed of the random numbers.", "text", "N"),
    Opt("stop", ("--stop",), "End before this text; may be repeated.", "many", "TEXT"),
    Opt("grammar", ("--grammar",), "A GBNF grammar that the text must follow.", "text", "GBNF"),
    Opt("grammar_file", ("--grammar-file",), "The same from a file.", "text", "FILE"),
    Opt("schema", ("--schema",), "A JSON schema that the text must follow.", "text", "FILE"),
    Opt(
        "option",
        ("-o", "--option"),
        "Any other option by llama-server's name; may be repeated.",
        "many",
        "NAME=VALUE",
    ),
)
_ASKING = (
    Opt(
        "file",
        ("-f", "--file"),
        "Put this file's text behind the prompt; - is standard input.",
        "many",
        "FILE",
    ),
    Opt("image", ("--image",), "An image for a model that sees; may be repeated.", "many", "FILE"),
    *_SAMPLING,
    Opt("n", ("--n",), "How many texts.", "int", "N"),
    *_CACHE,
    _SESSION,
    _TIMEOUT,
    _START,
    _JSON,
)

GENERATING = (
    Spec(
        "complete",
        GENERATIONS,
        "Let a model continue a text.\n\n"
        "Tokens are shown as they come on a terminal; on a pipe the text comes when it is whole. "
        "Ctrl-C frees the slot. "
        "What the profile sets is the default of every option.",
        "complete:run",
        (_MODEL, *_ASKING),
        (Arg("prompt", "The text; - or nothing reads standard input."),),
        'llamaagent complete "Once upon a time" --model qwen --n-predict 64',
    ),
    Spec(
        "chat",
        GENERATIONS,
        "Ask a model something, or talk with it.\n\n"
        "With a message, a file or a pipe: one question. On a terminal without any: a conversation, in which /help "
        "lists what else can be typed.",
        "chat:run",
        (
            _MODEL,
            Opt("system", ("--system",), "What the model is told beforehand.", "text", "TEXT"),
            *_ASKING,
        ),
        (Arg("message", "What you say; - reads standard input."),),
        'llamaagent chat "What is a slot?" --model qwen --system "Answer in one sentence."',
    ),
    Spec(
        "embed",
        GENERATIONS,
        "Turn texts into vectors.\n\nOne a line as JSON; the server needs `args: {embeddings: true}`.",
        "embed:run",
        (
            _MODEL,
            Opt(
                "file",
                ("-f", "--file"),
                "A text for each line of this file; - is standard input.",
                "many",
                "FILE",
            ),
            _TIMEOUT,
            _START,
            *LISTING,
        ),
        (Arg("text", "Texts; nothing reads lines from standard input.", many=True),),
        'llamaagent embed "one text" "another" --model bge --format jsonl',
    ),
    Spec(
        "rerank",
        GENERATIONS,
        "Order documents by how well they answer a question.\n\nThe server needs `args: {reranking: true}`.",
        "embed:rerank",
        (
            _MODEL,
            Opt(
                "file",
                ("-f", "--file"),
                "A document for each line of this file; - is standard input.",
                "many",
                "FILE",
            ),
            Opt("top", ("-n", "--top"), "Only the best N.", "int", "N"),
            _TIMEOUT,
            _START,
            *LISTING,
        ),
        (
            Arg("query", "The question.", required=True),
            Arg("document", "Documents; nothing reads lines from standard input.", many=True),
        ),
        'llamaagent rerank "what is a slot" -f documents.txt --model bge-reranker',
    ),
    Spec(
        "cache",
        GENERATIONS,
        "Answers that are kept, those used last first.",
        "cache:listing",
        (LIMIT, *LISTING),
        (),
        "llamaagent cache",
    ),
    Spec(
        "cache info",
        GENERATIONS,
        "How much is kept, and how often it was used.",
        "cache:info",
        (Opt("json", ("--json",), "One JSON object."),),
        (),
        "llamaagent cache info",
    ),
    Spec(
        "cache invalidate",
        GENERATIONS,
        "Forget answers that match all that is given.",
        "cache:invalidate",
        (
            Opt("prompt", ("--prompt",), "To this prompt, or last thing said.", "text", "TEXT"),
            Opt("model", ("--model", "-m"), "Of this profile, or file name.", "text", "NAME"),
            Opt("older_than", ("--older-than",), "Kept for longer than this.", "text", "AGE"),
            Opt("all", ("--all",), "All there are."),
            Opt("json", ("--json",), "One JSON object."),
        ),
        (),
        "llamaagent cache invalidate --model qwen --older-than 1d",
    ),
    Spec(
        "cache cleanup",
        GENERATIONS,
        "Remove what has expired, and the least used of what is too much.",
        "cache:cleanup",
        (Opt("json", ("--json",), "One JSON object."),),
        (),
        "llamaagent cache cleanup",
    ),
    Spec(
        "bench",
        GENERATIONS,
        "Measure a server with a fixed load, and keep the figures.\n\n"
        "Each size of prompt with each number of requests at a time. What was measured is stored with build, commit, "
        "profile and cards; --list shows it. The requests count as any others, in the session `bench`.",
        "bench:run",
        (
            Opt("prompt", ("--prompt-tokens",), "Sizes of prompts (default 64,512).", "text", "N,N"),
            Opt("n_predict", ("--n-predict",), "Tokens that each request writes (default 64).", "text", "N"),
            Opt("at_once", ("--concurrency",), "Requests at a time (default 1,4).", "text", "N,N"),
            Opt("requests", ("--requests",), "Requests of each kind (default 8).", "int", "N"),
            Opt(
                "tool",
                ("--tool",),
                "Also by llama-batched-bench of the same build; loads the model once more.",
            ),
            Opt("list", ("--list",), "Only show what was measured before."),
            LIMIT,
            _TIMEOUT,
            _START,
            *LISTING,
        ),
        (Arg("name", "A profile.", required=True),),
        "llamaagent bench qwen --concurrency 1,4,8",
    ),
    Spec(
        "compare",
        GENERATIONS,
        "Real requests before and after a change, of like size.\n\n"
        "Only sizes that both sides have are compared, each with the same weight on both. Without two builds, two "
        "commits or a time it says what there is to compare.",
        "compare:run",
        (
            Opt("build", ("--build",), "The builds A and B: give it twice.", "many", "BUILD"),
            Opt(
                "commit",
                ("--commit",),
                "The commits A and B: give it twice; the beginning is enough.",
                "many",
                "COMMIT",
            ),
            Opt("since", ("--since",), "Before and after this moment.", "text", "WHEN"),
            *LISTING,
        ),
        (Arg("name", "A profile.", required=True),),
        "llamaagent compare qwen --build b11400 --build b11434",
    ),
)
