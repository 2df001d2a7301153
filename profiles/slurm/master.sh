#!/usr/bin/env bash
# Snakemake itself as a job, where login nodes end what runs for days. From the repository root, after `snakemake sources vault`:
#   sbatch [--account=... --partition=...] profiles/slurm/master.sh --config study=encode -- all
#SBATCH --job-name=regdna
#SBATCH --time=7-00:00:00
#SBATCH --cpus-per-task=1
#SBATCH --mem=4G
#SBATCH --output=results/master-%j.log
#SBATCH --no-requeue
# Five minutes before its time is up it is told what Ctrl-C tells, and cancels its jobs, so that their trainings save their state.
#SBATCH --signal=B:INT@300
cd "${SLURM_SUBMIT_DIR:-.}" || exit 1
[ -f profiles/slurm/master.sh ] || { echo "regdna: $PWD is not the root of the repository; run sbatch there" >&2; exit 1; }
export PATH="$PWD/.venv/bin:$PATH" PYTHONNOUSERSITE=1
exec snakemake --profile slurm "$@"
