// The elementwise steps of an FFN's auxiliary variables (docs/method.md, section 7): for a wanted
// hidden activation p, the pre-activations near those at hand that give it.
#pragma once

#include <cstddef>

#include "ops/activation.h"

namespace struprune {

// up[i] becomes the z that minimises (p[i] − relu(z))² + beta (z − up[i])², in closed form; beta >
// 0.
void MinimiseRelu(size_t count, float beta, const float* p, float* up);

// up[i] becomes a z that lowers (p[i] − act(z))² + beta (z − up[i])², by Newton's method with
// act″ left out, from where it is; a step that does not lower it is halved.
void MinimisePlain(Activation kind, size_t count, float beta, const float* p, float* up);

// gate[i] and up[i] become a pair that lowers
//   (p[i] − act(g) u)² + gate_beta (g − gate[i])² + up_beta (u − up[i])²:
// g as above for the u at hand, then u in closed form.
void MinimiseGated(Activation kind, size_t count, float gate_beta, float up_beta, const float* p,
                   float* gate, float* up);

}  // namespace struprune
