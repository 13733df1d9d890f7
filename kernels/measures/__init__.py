"""Measures: two summaries of the same shape in, one number out.

module        measure            range   0 means      larger means
divergences   psi                [0, ∞)  same shares  further apart
              kl                 [0, ∞)  same shares  further apart; its floor may take it below 0
              jensen_shannon     [0, 1]  same shares  further apart
              hellinger          [0, 1]  same shares  further apart
              total_variation    [0, 1]  same shares  further apart
              l_infinity         [0, 1]  same shares  one bin, named by `culprit`, further apart
distances     ks                 [0, 1]  same shares  further apart at one point
              wasserstein        [0, ∞)  same values  further apart, in the unit of the values
              wasserstein_cells  [0, ∞)  same counts  further apart, in the unit of the edges
              energy             [0, ∞)  same values  further apart; energy_cells likewise
significance  chi_square         [0, ∞)  same shares  more evidence, by difference or by n
correlation   changes            (-∞, ∞) same r       a pair of columns moves together otherwise
twosample     shuffled           [0, 1]  same rows    further apart, in any way that rows can be
embeddings    cosine             [0, 2]  same way     the mean vector turned
              mean_shift         [0, ∞)  same mean    the mean vector moved
              sliced_wasserstein [0, ∞)  same vectors further apart, in the unit of the vectors

attributions.ndcg alone falls with the difference: 1 means the same order of features. Every other
one grows with it. A small value does not mean "no drift": what the bins do not separate no measure
sees. A large one does not mean "drift": with few values all are large by chance. NaN means
undefined, as on an empty side. Measures know no sketches: they see counts and edges, rows and
means.
"""
