"""The library behind regdna's steps.

Floors, lowest first; a module imports only from modules named before it (``tests/workflow/test_house.py`` holds that):

1. ground: store, staging, step, provenance, manifest, slurm/, survey, tuning, roster, cell_types, dependencies, papers, study, shelf,
   plan, estimate, attempts, ledger
2. sequence: alphabet, arrays, shuffles, genome, intervals, signals, windows, controls, targets, negatives, homology, certificate, splits,
   haplotypes, tokenisers, metrics, motifs, sources/, elements
3. models: models/ and what they are made of
4. doing: embed, train, predict, mutagenesis/, variants/, background
5. judging: bootstrap, delong, assess, verdict, paired, contrast, strata, transfer, contexts, interactions, measured, agreement,
   literature
6. showing: plots, tracks, page
"""
