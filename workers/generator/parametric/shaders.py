"""The shader programs' text (GLSL 3.30): a program for each material, for a software rasteriser runs every branch.

Colours are linear light; what comes out is encoded (see workers.generator.parametric.develop) and multiplied by alpha.
"""

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
uniform vec3 camera, key_direction, key_colour, hair_colour, shirt;
uniform vec3 harmonics[9];
uniform float wrap, softness, gloss, opacity;
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
vec3 ambient(vec3 n) {
    return max(vec3(0.0), harmonics[0] * 0.282095
        + 0.488603 * (harmonics[1] * n.y + harmonics[2] * n.z + harmonics[3] * n.x)
        + 1.092548 * (harmonics[4] * (n.x * n.y) + harmonics[5] * (n.y * n.z) + harmonics[7] * (n.x * n.z))
        + harmonics[6] * (0.315392 * (3.0 * n.z * n.z - 1.0)) + harmonics[8] * (0.546274 * (n.x * n.x - n.y * n.y)));
}
float lambert(vec3 n, vec3 l, float w) { return max(0.0, (dot(n, l) + w) / (1.0 + w)); }
vec3 encoded(vec3 c) { return pow(clamp(c * 0.5, 0.0, 1.0), vec3(1.0 / 2.2)); }
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
float under_sky(vec3 n) { return past(sky_shadows, sky_projection, n, 0.11, 6); }
#if MATERIAL == SKIN
uniform sampler2D chart_colour, chart_relief;
uniform mat4 turned;
uniform float fine;
#elif MATERIAL == EYE
uniform sampler2D surroundings;
uniform vec3 gaze, iris_inner, iris_outer, white, upper_lid, lower_lid;
uniform float iris_size, pupil_size, limbal, side, fibres;
#endif
void main() {
    vec3 view = normalize(camera - position), light = normalize(key_direction), n = normalize(normal);
#if MATERIAL != STRAND
    if (dot(n, view) < 0.0) n = -n;
#endif
    float open = mask.y, alpha = 1.0;
    vec3 c = colour, shine = vec3(0.0);
#if MATERIAL == SKIN
    float collar = 5.93 - 0.10 * cos(place.x * 2.2) - 0.18 * smoothstep(0.2, 1.0, place.z);
    if (place.y < collar) {
        float shadow = lit(n, 5);
        c = shirt * (0.86 + 0.22 * noise(place * vec3(60.0, 30.0, 60.0)));
        if (place.y > collar - 0.10) c *= 0.70;
        pixel = vec4(encoded(c * (ambient(n) * (0.35 + 0.65 * open) * mix(0.5, 1.0, under_sky(n)) + key_colour * shadow * lambert(n, light, 0.1))), 1.0); return;
    }
    float around = atan(place.x, place.z - 0.35);
    vec2 at = vec2(around / 4.0 + 0.5, (place.y - 5.9) / 2.6);
    vec4 tinge = texture(chart_colour, at), relief = texture(chart_relief, at);
    c *= tinge.rgb * 2.0;
    vec3 east = vec3(cos(around), 0.0, -sin(around));
    float grain = noise(place * 75.0) - 0.5;
    c *= 1.0 + fine * 0.10 * grain;
    vec3 bent = (turned * vec4(-relief.x * east - vec3(0.0, relief.y, 0.0), 0.0)).xyz;
    vec3 smooth_n = n;
    n = normalize(n + bent + fine * 0.10 * vec3(grain, noise(place * 71.0) - 0.5, 0.0));
    float shadow = lit(smooth_n, 8), sky = under_sky(smooth_n);
    // Light under the skin: the cosine's corner is rounded, red's most; it takes less of the relief than the gloss does.
    float ndl = dot(normalize(mix(smooth_n, n, 0.75)), light);
    vec3 round_ = vec3(0.42, 0.22, 0.15) + 0.45 * wrap;
    vec3 diffuse = 0.5 * (ndl + sqrt(vec3(ndl * ndl) + round_ * round_)) / (0.5 + 0.5 * sqrt(1.0 + round_ * round_));
    diffuse = max(diffuse - 0.06, 0.0) * pow(vec3(shadow), vec3(0.78, 0.95, 1.0));
    vec3 halfway = normalize(light + view);
    float ndh = max(dot(n, halfway), 0.0), vdh = max(dot(view, halfway), 0.0), ndv = max(dot(n, view), 0.0);
    float fresnel = 0.028 + 0.5 * pow(1.0 - vdh, 5.0);
    float lobes = 0.65 * 2.0 * pow(ndh, 14.0) + 0.35 * 7.5 * pow(ndh, 58.0);
    shine = key_colour * shadow * max(ndl, 0.0) * lobes * fresnel * tinge.a * 2.4;
    shine += ambient(reflect(-view, n)) * (0.020 + 0.22 * pow(1.0 - ndv, 5.0)) * tinge.a * 1.5 * sky;
    vec3 occluded = mix(vec3(open * 0.90 + 0.05, open * open * 0.86, open * open * 0.82), vec3(1.0), open);
    occluded *= mix(vec3(0.50, 0.40, 0.38), vec3(1.0), sky);
    c = c * (ambient(normalize(mix(smooth_n, n, 0.8))) * occluded + key_colour * diffuse * mix(open, 1.0, 0.4)) + shine * open * relief.z;
#elif MATERIAL == CAP
    float around = atan(place.x, place.z - 0.3);
    float streak = noise(vec3(around * 42.0, place.y * 2.5, 3.0)) * 0.6 + noise(vec3(around * 110.0, place.y * 5.0, 9.0)) * 0.4;
    alpha = smoothstep(0.22, 0.95, mask.x - 0.30 * streak + 0.1) * opacity;
    c = hair_colour * (0.45 + 0.6 * streak)
      * (ambient(n) * 0.6 * open * mix(0.5, 1.0, under_sky(n)) + key_colour * lit(n, 5) * lambert(n, light, 0.3) * 0.5);
#elif MATERIAL == EYE
    vec3 p = normalize(place);
    float angle = acos(clamp(dot(p, gaze), -1.0, 1.0));
    vec2 flat_ = p.xy - gaze.xy;
    float turn = atan(flat_.y, flat_.x), r = angle / iris_size;
    float fibre = noise(vec3(cos(turn) * 7.0, sin(turn) * 7.0, r * 1.6)) * 0.6 + noise(vec3(cos(turn) * 17.0, sin(turn) * 17.0, r * 1.2 + 5.0)) * 0.4;
    vec3 ring = mix(iris_inner, iris_outer, smoothstep(0.40, 0.72, r + 0.16 * (fibre - 0.5)));
    ring *= mix(1.0, 0.45 + 1.15 * fibre, fibres);
    ring *= 1.0 - limbal * smoothstep(0.72, 0.98, r);
    // Light that enters at the cornea gathers on the far side of the iris.
    ring *= 0.85 + 0.5 * clamp(-dot(flat_ / iris_size, light.xy), -0.4, 1.0);
    float vein = smoothstep(0.62, 0.85, noise(vec3(p.xy * vec2(7.0, 26.0), 2.0)));
    vec3 ball = white - vec3(0.02, 0.14, 0.13) * smoothstep(0.55, 1.05, abs(p.x)) - vec3(0.01, 0.06, 0.05) * vein * smoothstep(0.35, 0.8, abs(p.x));
    c = mix(ring, ball, smoothstep(0.94, 1.09, r));
    float black = smoothstep(pupil_size - 0.06, pupil_size + 0.05, r);
    c *= black * 0.985 + 0.015;
    float caruncle = smoothstep(0.66, 0.80, -side * p.x);
    c = mix(c, vec3(0.42, 0.17, 0.14), 0.8 * caruncle);
    float below = upper_lid.x + p.x * (upper_lid.y + p.x * upper_lid.z) - p.y, above = p.y - (lower_lid.x + p.x * (lower_lid.y + p.x * lower_lid.z));
    float shade = mix(0.16, 1.0, smoothstep(-0.02, 0.34, below)) * mix(0.5, 1.0, smoothstep(-0.02, 0.16, above)) * mix(0.62, 1.0, smoothstep(1.0, 0.55, abs(p.x)));
    float ndl = lambert(n, light, 0.35);
    c *= (ambient(normalize(n + vec3(0.0, 0.15, 0.4))) + key_colour * ndl * mix(0.45, 1.0, lit(n, 6))) * shade;
    vec3 bounced = reflect(-view, n);
    float ndv = max(dot(n, view), 0.0), wet = 0.024 + 0.4 * pow(1.0 - ndv, 5.0);
    vec2 there = vec2(atan(bounced.x, bounced.z) / 6.2832 + 0.5, acos(clamp(bounced.y, -1.0, 1.0)) / 3.1416);
    vec3 mirrored = texture(surroundings, there).rgb;
    c += mirrored * wet * 0.55 * mix(0.25, 1.0, smoothstep(0.02, 0.25, below));
    c += key_colour * pow(max(dot(n, normalize(light + view)), 0.0), 380.0) * 2.2 * smoothstep(0.0, 0.10, below);
    // The tear film along the lower lid.
    c += (ambient(vec3(0.0, 0.8, 0.6)) * 0.20 + key_colour * 0.16) * smoothstep(0.085, 0.02, above) * smoothstep(0.95, 0.5, abs(p.x));
#elif MATERIAL == PLAIN
    if (mask.x < 0.5) discard;  // beyond the edge of cloth
    c = c * (ambient(n) * mix(0.45, 1.0, under_sky(n)) + key_colour * lambert(n, light, 0.15) * lit(n, 6)) * open
      + key_colour * pow(max(dot(n, normalize(light + view)), 0.0), 60.0) * gloss
      + ambient(reflect(-view, n)) * gloss * 0.12;
#else
    // Kajiya-Kay, with a white glint and, shifted along the hair, one of its own colour.
    vec3 t = normalize(normal), out_ = normalize(place);
    float tl = dot(t, light), tv = dot(t, view), facing = smoothstep(-0.35, 0.6, dot(out_, light));
    float across = sqrt(max(0.0, 1.0 - tl * tl)), seen = sqrt(max(0.0, 1.0 - tv * tv));
    float glint = pow(max(0.0, across * seen - (tl + 0.05) * tv), 70.0), second = pow(max(0.0, across * seen - (tl - 0.12) * tv), 16.0);
    vec3 key = key_colour * facing * lit(out_, 4);
    c = c * (ambient(out_) * (0.85 * open) + key * (0.25 + 0.55 * across) * mix(open, 1.0, 0.3))
      + key * gloss * (glint * 0.035 + second * 0.75 * c) * open;
    alpha = opacity * smoothstep(1.04, 0.62, mask.x);
#endif
    pixel = vec4(encoded(c) * alpha, alpha);
}"""


def fragment_shader(material: int) -> str:
    """Text of the fragment shader of one material."""
    defined = "".join(f"#define {name} {number}\n" for number, name in enumerate(MATERIALS))
    return f"#version 330\n{defined}#define MATERIAL {material}\n{_FRAGMENT}"
