#include "lab/score_language.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "text/unicode.h"

/* Letters by block. A script with one language here needs no words. */
typedef struct script {
    uint32_t first, last;
    const char *only; /* its language, or NULL */
} script;

enum { LATIN, CYRILLIC, ARABIC, DEVANAGARI, N_SHARED_SCRIPTS };

static const script scripts[] = {
    [LATIN] = {0x41, 0x24F, NULL},
    [CYRILLIC] = {0x400, 0x52F, NULL},
    [ARABIC] = {0x600, 0x6FF, NULL},
    [DEVANAGARI] = {0x900, 0x97F, NULL},
    {0x370, 0x3FF, "el"}, {0x590, 0x5FF, "he"}, {0x980, 0x9FF, "bn"}, {0xA00, 0xA7F, "pa"},
    {0xA80, 0xAFF, "gu"}, {0xB80, 0xBFF, "ta"}, {0xC00, 0xC7F, "te"}, {0xC80, 0xCFF, "kn"},
    {0xD00, 0xD7F, "ml"}, {0xE00, 0xE7F, "th"}, {0x1E00, 0x1EFF, "vi"}, {0x3040, 0x30FF, "ja"},
    {0xAC00, 0xD7AF, "ko"}, {0x4E00, 0x9FFF, "zh"},
};
enum { N_SCRIPTS = sizeof scripts / sizeof *scripts, VIETNAMESE = 14, JAPANESE = 15, CHINESE = 17 };

/* Frequent words, each between blanks. */
static const struct {
    const char *language;
    int script;
    const char *words;
} frequent[] = {
    {"en", LATIN, " the of and to in is that it was for on are with as you this be at have from "
                  "or an by not but what all were we your can there their if will "},
    {"de", LATIN, " der die und in den von zu das mit sich des auf für ist im dem nicht ein eine "
                  "als auch es an werden aus er hat dass sie nach wird bei ich wir "},
    {"fr", LATIN, " de la le et les des en un une du que est pour qui dans sur par plus pas au ne "
                  "se ce il sont avec vous je nous cette aux elle "},
    {"es", LATIN, " de la que el en y los se del las un por con no una su para es al lo como más "
                  "pero sus le ya este sí porque esta son "},
    {"it", LATIN, " di che e la il un a per è una in non sono da con si del della le i nel più ma "
                  "anche come gli alla questo ho lo ci "},
    {"pt", LATIN, " de que e o a do da em um para é com não uma os no se na por mais as dos como "
                  "mas foi ao ele das tem à seu sua ou você "},
    {"nl", LATIN, " de het een van en in is dat op te zijn met voor niet aan er om ook als dan maar "
                  "bij uit nog naar heeft wordt worden ik je "},
    {"sv", LATIN, " och att det som en på är av för med till den har de inte om ett men var jag sig "
                  "från vi så kan när "},
    {"da", LATIN, " og at det er en til på som med af for de ikke den har et jeg var kan fra der vi "
                  "men også "},
    {"pl", LATIN, " i w na z się że nie do to jest o jak ale po co tak za od przez dla czy być był "},
    {"fi", LATIN, " ja on ei se että oli hän ovat kun mutta myös niin kuin jos tai minä sen mukaan "
                  "olla joka ole voi "},
    {"tr", LATIN, " ve bir bu da de için ile çok ne ama gibi olarak daha olan değil ben var "},
    {"sw", LATIN, " na ya wa kwa ni katika la za cha kuwa hii kama yake hiyo lakini watu ambayo pia "
                  "yangu sana "},
    {"id", LATIN, " yang dan di dengan untuk ini itu dari dalam tidak pada ke akan adalah juga saya "
                  "karena bisa ada "},
    {"vi", LATIN, " và là của có không được cho một trong người với các những này để khi từ "},
    {"ru", CYRILLIC, " и в не на я что с он как это по но они к у из за от так для о же все она "
                     "было мы вы бы если или "},
    {"bg", CYRILLIC, " и на да в е се за от не с са по като че това но ще си или който към съм има "
                     "към при до най "},
    {"uk", CYRILLIC, " і в не на я що з він як це та до у але вони за від так для є про якщо або ми "
                     "її його "},
    {"ar", ARABIC, " في من على إلى أن هذا التي عن مع كان لا ما هو هذه الذي أو كل بعد قد هي كما "},
    {"fa", ARABIC, " و در به از که این را با است برای آن یک خود تا کرد بر هم می شود ما های "},
    {"ur", ARABIC, " کے میں کی ہے اور سے کا کو اس پر نے کہ ہیں یہ ایک بھی نہیں تھا وہ جو "},
    {"hi", DEVANAGARI, " के में की है और से का को इस पर ने कि हैं यह एक भी नहीं था वह जो लिए "},
    {"mr", DEVANAGARI, " आणि आहे या च्या ते हे मध्ये होते एक त्या तो ही की व आहेत नाही करण्यात "},
    {"ne", DEVANAGARI, " र को मा छ यो का पनि हो लागि एक गर्न भने छन् गरेको थियो नेपाल हुन्छ "},
};
enum { N_LANGUAGES = sizeof frequent / sizeof *frequent, MOST_WORD_BYTES = 40 };

static int script_of(uint32_t code) {
    for (int i = 0; i < N_SCRIPTS; i++)
        if (code >= scripts[i].first && code <= scripts[i].last) return i;
    return -1;
}

/* The script of most letters; kana anywhere make Han letters Japanese, and letters that only
 * Vietnamese has do so with Latin ones. −1 without letters. */
static int most_frequent_script(const char *text) {
    size_t counts[N_SCRIPTS] = {0};
    int best = -1;
    for (size_t n = strlen(text), i = 0; i < n;) {
        uint32_t code;
        i += unicode_decode_valid(text + i, &code);
        int s = unicode_class(code) & (CHAR_LETTER | CHAR_MARK) ? script_of(code) : -1;
        if (s >= 0) counts[s]++;
    }
    for (int i = 0; i < N_SCRIPTS; i++)
        if (counts[i] > 0 && (best < 0 || counts[i] > counts[best])) best = i;
    if (best == CHINESE && counts[JAPANESE] * 10 > counts[CHINESE]) return JAPANESE;
    if (best == LATIN && counts[VIETNAMESE] * 12 > counts[LATIN]) return VIETNAMESE;
    return best;
}

/* Counts the word " x " in each language's list. */
static void count_word(const char *word, int in_script, size_t *counts) {
    for (int l = 0; l < N_LANGUAGES; l++)
        counts[l] += frequent[l].script == in_script && strstr(frequent[l].words, word) != NULL;
}

static const char *most_frequent_words(const char *text, int in_script) {
    size_t counts[N_LANGUAGES] = {0}, n_word = 1;
    char word[MOST_WORD_BYTES + 8] = " ";
    int best = 0;
    for (size_t n = strlen(text), i = 0; i <= n;) {
        uint32_t code = ' ';
        i += i < n ? unicode_decode_valid(text + i, &code) : 1;
        bool belongs = unicode_class(code) & (CHAR_LETTER | CHAR_MARK);
        if (belongs && n_word < MOST_WORD_BYTES) {
            n_word += utf8_write(word + n_word, (uint32_t)utf8proc_tolower((int32_t)code));
        } else if (!belongs) {
            word[n_word] = ' ';
            word[n_word + 1] = '\0';
            if (n_word > 1) count_word(word, in_script, counts);
            n_word = 1;
        }
    }
    for (int l = 1; l < N_LANGUAGES; l++)
        if (counts[l] > counts[best]) best = l;
    return counts[best] > 0 ? frequent[best].language : NULL;
}

const char *score_language_of(const char *text) {
    int s = most_frequent_script(text);
    if (s < 0) return NULL;
    return scripts[s].only ? scripts[s].only : most_frequent_words(text, s);
}
