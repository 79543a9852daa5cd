"""The command `resomap snakefile`: the path of the workflow, for Snakemake itself."""

import typer


def snakefile() -> None:
    """Print the path of the workflow, for Snakemake itself or a `module` of yours.

    Example: snakemake -s $(resomap snakefile) -n
    """
    from resomap.system.workflow_files import snakefile as path_of_snakefile

    typer.echo(path_of_snakefile())
