"""The shader programs' text (GLSL 3.30): a program for each material, for a software rasteriser runs every branch."""

MATERIALS = ("SKIN", "CAP", "EYE", "PLAIN", "STRAND")
SKIN, CAP, EYE, PLAIN, STRAND = range(len(MATERIALS))

SHADOW_VERTEX = """#version 330
in vec3 in_position;
uniform mat4 projection;
void main() { gl_Position = projection * vec4(in_position, 1.0); }"""

SHADOW = """#version 330
void main() {}"""

VERTEX = """#version 330
in vec3 in_position; in vec3 in_normal; in vec3 in_colour; in vec3 in_place; in vec2 in_mask;
uniform mat4 projection;
out vec3 position, normal, colour, place; out vec2 mask;
void main() {
    gl_Position = projection * vec4(in_position, 1.0);
    position = in_position; normal = in_normal; colour = in_colour; place = in_place; mask = in_mask;
}"""

_FRAGMENT = """in vec3 position, normal, colour, place; in vec2 mask;
uniform vec3 camera, key_direction, key_colour, sky, ground, hair_colour, iris, gaze, shirt;
uniform float wrap, softness, gloss, age, marks, seed;
uniform mat4 light_projection, sky_projection;
uniform sampler2D shadows, sky_shadows;
out vec4 pixel;

float hash(vec3 p) {
    uvec3 q = uvec3(ivec3(p)) * uvec3(1597334673u, 3812015801u, 2798796415u);
    uint h = (q.x ^ q.y ^ q.z) * 1597334673u;
    return float((h ^ (h >> 15)) >> 8) * (1.0 / 16777216.0);
}
float noise(vec3 p) {
    vec3 i = floor(p), f = fract(p); f = f * f * (3.0 - 2.0 * f);
    return mix(mix(mix(hash(i), hash(i + vec3(1,0,0)), f.x), mix(hash(i + vec3(0,1,0)), hash(i + vec3(1,1,0)), f.x), f.y),
               mix(mix(hash(i + vec3(0,0,1)), hash(i + vec3(1,0,1)), f.x), mix(hash(i + vec3(0,1,1)), hash(i + vec3(1,1,1)), f.x), f.y), f.z);
}
// A spot in some cells of a grid: 1 at its middle. What it is that has spots, and how many, is up to `share`.
float spots(vec3 p, float share, float size) {
    vec3 cell = floor(p);
    if (hash(cell + 7.0) > share) return 0.0;
    vec3 middle = cell + 0.3 + 0.4 * vec3(hash(cell), hash(cell + 1.0), hash(cell + 2.0));
    return smoothstep(size, 0.4 * size, length(p - middle));
}
vec3 ambient(vec3 n) { return mix(ground, sky, n.y * 0.5 + 0.5); }
float lambert(vec3 n, vec3 l, float w) { return max(0.0, (dot(n, l) + w) / (1.0 + w)); }
vec3 show(vec3 c) {
    c = c * (1.0 + c * 0.12) / (1.0 + c * 0.35);
    return pow(clamp(c * 1.08, 0.0, 1.0), vec3(1.0 / 2.2));
}
// How much light comes past everything else: percentage-closer filtering over the golden angle's spiral.
float past(sampler2D depths, mat4 seen_by, vec3 n, float soft, int taps) {
    vec3 p = (seen_by * vec4(position + n * 0.035, 1.0)).xyz * 0.5 + 0.5;
    float turn = 6.2832 * hash(vec3(gl_FragCoord.xy, 1.0)), open = 0.0;
    vec2 spun = vec2(cos(turn), sin(turn)) * soft;
    for (int k = 0; k < taps; k++) {
        spun = vec2(-0.737369 * spun.x - 0.675490 * spun.y, 0.675490 * spun.x - 0.737369 * spun.y);
        vec2 q = p.xy + sqrt((float(k) + 0.5) / float(taps)) * spun, out_ = abs(q - 0.5);
        open += max(step(p.z - 0.006, texture(depths, q).r), step(0.5, max(out_.x, out_.y)));
    }
    return open / float(taps);
}
float lit(vec3 n, int taps) { return past(shadows, light_projection, n, softness, taps); }
float under_sky(vec3 n) { return past(sky_shadows, sky_projection, n, 0.10, 10); }
void main() {
    vec3 view = normalize(camera - position), light = normalize(key_direction), n = normalize(normal);
#if MATERIAL != STRAND
    if (dot(n, view) < 0.0) n = -n;
#endif
    float open = mask.y;
    vec3 c = colour, shine = vec3(0.0);
#if MATERIAL == SKIN
    float shadow = lit(n, 12);
    float collar = 5.93 - 0.10 * cos(place.x * 2.2) - 0.18 * smoothstep(0.2, 1.0, place.z);
    if (place.y < collar) {
        c = shirt * (0.92 + 0.16 * noise(place * 30.0));
        if (place.y > collar - 0.10) c *= 0.75;
        pixel = vec4(show(c * (ambient(n) * 0.9 + key_colour * shadow * lambert(n, light, 0.15))), 1.0); return;
    }
    vec3 p = place + seed;
    float blotch = noise(p * 4.0) + 0.5 * noise(p * 9.0) - 0.75, pores = noise(p * 46.0) - 0.5;
    c *= 1.0 + vec3(0.04, 0.10, 0.09) * blotch + 0.05 * pores;
    float some = clamp(marks, 0.0, 1.5);
    float freckles = spots(p * 19.0, 0.5 * some * noise(p * 3.0), 0.34), moles = spots(p * 3.1 + 40.0, 0.10 + 0.16 * some, 0.085);
    c *= 1.0 - 0.13 * freckles * vec3(0.6, 1.0, 1.1) * some;
    c *= 1.0 - 0.62 * moles * vec3(0.85, 1.0, 1.0);
    float brow = smoothstep(7.62, 7.74, place.y) * (1.0 - smoothstep(8.0, 8.1, place.y)) * smoothstep(0.9, 1.3, place.z);
    float bent = place.y + 0.05 * noise(p * 2.3) + 0.03 * cos(place.x * 3.0);
    float crease = sin(bent * 46.0) * brow * smoothstep(0.25, 0.7, noise(p * vec3(2.0, 7.0, 2.0)));
    vec2 eye = vec2(abs(place.x) - 0.50, place.y - 7.27);
    float crow = sin(atan(eye.y, eye.x) * 14.0 + 3.0 * noise(p * 6.0)) * smoothstep(0.03, 0.08, length(eye))
               * smoothstep(0.24, 0.10, length(eye)) * step(0.0, eye.x);
    n = normalize(n + age * vec3(0.10 * crow, 0.20 * crease + 0.16 * crow, 0.0)
                    + 0.10 * (0.5 + age) * vec3(pores, noise(p * 41.0) - 0.5, 0.0));
    float under = (0.35 + age) * smoothstep(0.16, 0.02, length((place.xy - vec2(sign(place.x) * 0.33, 7.13)) * vec2(0.7, 1.5)));
    c *= 1.0 - vec3(0.13, 0.17, 0.13) * under;
    float w = wrap;
    vec3 diffuse = vec3(lambert(n, light, w + 0.12), lambert(n, light, w * 0.7), lambert(n, light, w * 0.55));
    // Light bleeds into a shadow's edge under the skin, red farthest.
    diffuse *= pow(vec3(shadow), vec3(0.62, 0.95, 1.05));
    float grazing = pow(1.0 - max(dot(n, view), 0.0), 4.0), towards = max(dot(n, normalize(light + view)), 0.0);
    shine = key_colour * shadow * max(dot(n, light), 0.0) * gloss * (0.6 * pow(towards, 14.0) + 0.55 * pow(towards, 46.0))
          * (0.75 + 0.5 * noise(p * 24.0)) + ambient(reflect(-view, n)) * grazing * 0.10;
    vec3 occluded = mix(vec3(open * open * 0.9, open * open * open * 0.75, open * open * open * 0.7), vec3(1.0), open);
    c = c * (ambient(n) * occluded * mix(vec3(0.52, 0.42, 0.40), vec3(1.0), under_sky(n)) + key_colour * diffuse * mix(open, 1.0, 0.35)) + shine * open;
#elif MATERIAL == CAP
    float around = atan(place.x, place.z - 0.3);
    float streak = noise(vec3(around * 42.0, place.y * 2.5, 3.0)) * 0.6 + noise(vec3(around * 110.0, place.y * 5.0, 9.0)) * 0.4;
    if (mask.x < 0.15 + 0.5 * streak) discard;
    c = hair_colour * (0.30 + 0.7 * streak)
      * (ambient(n) * 0.6 * open + key_colour * lit(n, 6) * lambert(n, light, 0.3) * 0.6);
#elif MATERIAL == EYE
    float angle = acos(clamp(dot(normalize(place), gaze), -1.0, 1.0));
    vec3 white = vec3(0.56, 0.53, 0.51) - vec3(0.10, 0.19, 0.19) * smoothstep(0.6, 1.25, angle);
    float fibre = noise(vec3(atan(place.y, place.x) * 9.0, angle * 14.0, 1.0));
    vec3 ring = iris * (0.7 + 0.9 * fibre) * (1.0 - 0.65 * smoothstep(0.40, 0.52, angle));
    c = mix(ring, white, smoothstep(0.47, 0.56, angle));
    c *= smoothstep(0.16, 0.22, angle) * 0.97 + 0.03;
    float shade = mix(1.0, 0.35, smoothstep(0.06, 0.32, place.y)) * mix(0.55, 1.0, smoothstep(0.85, 0.55, abs(place.x)));
    c *= (ambient(n) + key_colour * lambert(n, light, 0.3) * mix(0.5, 1.0, lit(n, 6))) * shade * 0.92;
    c += key_colour * pow(max(dot(n, normalize(light + view)), 0.0), 220.0) * 1.3;
    c += sky * 0.10 * smoothstep(0.35, 0.75, reflect(-view, n).y) * shade;
#elif MATERIAL == PLAIN
    c = c * (ambient(n) + key_colour * lambert(n, light, 0.2) * lit(n, 6)) * open
      + key_colour * pow(max(dot(n, normalize(light + view)), 0.0), 50.0) * gloss;
#else
    // Kajiya-Kay, with a white glint and, shifted along the hair, one of its own colour.
    vec3 t = normalize(normal), out_ = normalize(place);
    float tl = dot(t, light), tv = dot(t, view), facing = smoothstep(-0.3, 0.6, dot(out_, light));
    float across = sqrt(max(0.0, 1.0 - tl * tl)), seen = sqrt(max(0.0, 1.0 - tv * tv));
    float glint = pow(max(0.0, across * seen - tl * tv), 60.0), second = pow(max(0.0, across * seen - (tl - 0.12) * tv), 14.0);
    vec3 key = key_colour * facing * lit(out_, 4);
    c = c * (ambient(out_) * (0.9 * open) + key * across * 0.75 * mix(open, 1.0, 0.4))
      + key * gloss * (glint * 0.10 + second * 0.8 * c) * open;
#endif
    pixel = vec4(show(c), 1.0);
}"""


def fragment_shader(material: int) -> str:
    """Text of the fragment shader of one material."""
    defined = "".join(f"#define {name} {number}\n" for number, name in enumerate(MATERIALS))
    return f"#version 330\n{defined}#define MATERIAL {material}\n{_FRAGMENT}"
