"""What studies and sources say at a path of keys, for parameters of rules."""


def said(within, path, **otherwise):
    """What stands at a path, as a function of wildcards: key by key, where Snakemake's `lookup` walks through all studies for each job."""

    def found(wildcards):
        part, keys = within, [key.format(**dict(wildcards.items())) for key in path.split("/")]
        for key in keys:
            if isinstance(part, dict) and key not in part:
                if otherwise:
                    return otherwise["default"]
                raise WorkflowError(f"{'/'.join(keys)}: {key!r} is not there; add it to the study, or ask for another result")
            part = part[int(key) if isinstance(part, list) else key]
        return part

    return found
