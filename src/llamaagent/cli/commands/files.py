"""Model files."""

from __future__ import annotations

from llamaagent.cli.commands.words import MACHINE
from llamaagent.cli.spec import LISTING, Arg, Opt, Spec

_MODEL = Arg("model", "A file, its name, or a profile that uses it.", required=True)

FILES = (
    Spec(
        "models scan",
        MACHINE,
        "Find GGUF files and keep what their headers say.\n\n"
        "Looks below the directories named, else below models.directories. Files that are as they were are not "
        "opened again; a damaged one is reported in a line and kept with its fault.",
        "models:scan",
        (Opt("again", ("--again",), "Read unchanged files too."),),
        (Arg("directory", "Where to look (default: models.directories).", many=True),),
        "llamaagent models scan /srv/models",
    ),
    Spec(
        "models list",
        MACHINE,
        "The models that scans found, favorites first.",
        "models:show_all",
        LISTING,
        (),
        "llamaagent models list",
    ),
    Spec(
        "models show",
        MACHINE,
        "Everything known of one model file.\n\n"
        "A file that no scan found is read there and then, and not kept. sha256 is that of the header without the "
        "contents of its arrays.",
        "models:show",
        (Opt("json", ("--json",), "One JSON object."),),
        (_MODEL,),
        "llamaagent models show qwen3-8b-q4_k_m.gguf",
    ),
    Spec(
        "models favorite",
        MACHINE,
        "Mark a model as a favorite.",
        "models:favorite",
        (Opt("remove", ("--remove",), "Take the mark away."),),
        (_MODEL,),
        "llamaagent models favorite qwen3-8b-q4_k_m.gguf",
    ),
    Spec(
        "models prune",
        MACHINE,
        "Forget model files that are gone.\n\n"
        "A directory that is missing or empty may only be unmounted: its files are forgotten with --yes alone. "
        "No file is ever deleted.",
        "models:prune",
        (Opt("yes", ("--yes",), "Also where a whole directory is missing or empty."),),
        (),
        "llamaagent models prune",
    ),
    Spec(
        "models pull",
        MACHINE,
        "Fetch a GGUF file, continued where it stopped.\n\n"
        "SOURCE is an http address, or hf:USER/REPO:QUANT (from HF_ENDPOINT, default huggingface.co; HF_TOKEN of the "
        "settings' env_file or of the environment is sent nowhere else). The file appears under its name when "
        "it is complete and its checksum, where one is known, is right.",
        "modelpull:run",
        (
            Opt(
                "output",
                ("-o", "--output"),
                "Folder (default: the first of models.directories).",
                "text",
                "DIR",
            ),
        ),
        (Arg("source", "http address, or hf:USER/REPO:QUANT.", required=True),),
        "llamaagent models pull hf:ggml-org/gemma-3-1b-it-GGUF:Q4_K_M",
    ),
    Spec(
        "fit",
        MACHINE,
        "How much memory a profile's server will take.\n\n"
        "Asks llama-fit-params, which lies beside llama-server, when there is one (source: fit-params); else adds it "
        "up from the file's header (source: estimate). Starts no server and reads no weights. The answer is kept, and "
        "the next launch with the same file and options counts with it; -v shows how it adds up. Exit code 1: it does "
        "not fit into what is free now; 65: the model cannot be read.",
        "fit:run",
        LISTING,
        (Arg("name", "Profiles; * and ? match.", many=True, required=True),),
        "llamaagent fit qwen -v",
    ),
)
