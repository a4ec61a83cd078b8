"""Small templates of our own, each exercising one corner of Jinja as chat templates use it.

Longer than 500 lines because it is one table of data, a line or two a case, and no logic.
"""

CONTEXT = {
    "name": "Ada",
    "empty": "",
    "nothing": None,
    "yes": True,
    "no": False,
    "n": 7,
    "x": 2.5,
    "words": ["pear", "Apple", "fig", "apple"],
    "numbers": [3, 1, 2, 10],
    "nested": [[1, 2], [3], []],
    "d": {"b": 1, "a": "two", "C": [1, 2.0, None, True], "items": "shadow"},
    "users": [
        {"name": "Bo", "age": 30, "tags": ["x"], "meta": {"id": 5}},
        {"name": "Cy", "age": 25, "meta": {"id": 4}},
        {"name": "al", "age": 30, "tags": [], "meta": {"id": 9}},
    ],
    "text": "  The quick\n\tbrown fox  ",
    "lines": "one\ntwo\n\nthree",
    "uni": "Żółć 漢字 🦊é",
    "quote": "it's \"q\" \\ \n\t\x7f\u00a0\u200b",
    "html": "<a href='x'>&\"</a>",
    "big": 12345678901234,
    "tiny": 1e-7,
    "huge": 1e22,
}

# Expressions, each printed alone: {{ expression }}.
EXPRESSIONS = """
name
missing
missing.attr
missing['x']
missing + 1
missing ~ 'x'
missing == missing
missing|length
missing|list
nothing
nothing.attr
nothing is none
yes
not yes
1 + 2 * 3
(1 + 2) * 3
7 / 2
8 / 2
7 // 2
-7 // 2
7 % 3
-7 % 3
7.5 % -2
2 ** 10
2 ** -1
2 ** 3 ** 2
-2 ** 2
- n|abs
1 / 0
1 // 0
1 % 0
1.0 / 3
0.1 + 0.2
1e16
1e15
123456789.125
1.5e300 * 10
5 // 2.0
x
huge
tiny
9223372036854775807
1_000_000
0x1f + 0o17 + 0b101
1.50
1e3
2.5|round
3.5|round
2.675|round(2)
1234|round(-2)
2.1|round(0, 'ceil')
2.9|round(0, 'floor')
2.567|round(1, 'ceil')
'a' ~ 1 ~ none ~ true ~ 2.0 ~ [1]
'a' + 'b'
'a' + 1
1 + 'a'
[1] + [2]
[1] + (2,)
'ab' * 3
3 * 'ab'
[0] * 3
'ab' * -1
'x' 'y' "z"
'a\\n\\t\\x41\\u00e9\\'\\"\\\\'
"it's"
1 < 2
1 < 2 < 3
1 < 3 < 2
1 == 1.0
true == 1
'a' < 'b'
'Z' < 'a'
[1, 2] < [1, 3]
1 < 'a'
'a' in 'abc'
'x' not in 'abc'
1 in [1, 2]
3 not in [1, 2]
'b' in d
1 in d
1 in 'abc'
'a' in missing
1 in 5
[1, 2] == [1, 2]
[1] == (1,)
d == d
{'a': 1} == {'a': 1.0}
none == false
not missing
yes and name
no and name
no or name
empty or 'fallback'
yes and no or 'z'
'a' if yes else 'b'
'a' if no else 'b'
'a' if no
('a' if no) is defined
'a' if no else 'b' if no else 'c'
[]
[1, 'two', 3.0, none, true]
(1,)
(1, 2)
()
1, 2
{}
{'a': 1, 'b': [1, {'c': 'd'}], 2: none, 1.5: true, none: 0}
{'a': 1, 'a': 2}
{[1]: 2}
{'a': 1}.a
{'a': 1}['a']
d.b
d['a']
d.missing
d.missing.more
d['missing'] is defined
d.C[1]
d.C[-1]
d.C[10]
d.C[10] is defined
d.C['x']
d['items']
d.pop
d.pop('b')
words.append('x')
words.append
words[0]
words.0
words[-1]
words[1:]
words[:2]
words[::-1]
words[::2]
words[-2:]
words[5:]
words[3:1]
words[1:3:1]
numbers[-1::-2]
numbers[::0]
numbers[true]
numbers['a':]
name[0]
name[-1]
name[10]
name[1:]
name[::-1]
uni[0]
uni[3]
uni[5:7]
uni[-1]
uni[-2]
uni[::-1]
uni|length
uni[2:5]|upper
n[0]
n.foo
(1, 2)[0]
d.keys()|list
d.values()|list
d.items()|list
d.get('b')
d.get('zz')
d.get('zz', 'dflt')
d.copy()['b']
d|items|list
missing|items|list
d|dictsort
d|dictsort(true)
d|dictsort(by='key', reverse=true)|map('first')|list
{'x': 2, 'y': 1}|dictsort(by='value')
d|length
words|count
n|length
name|upper
name|lower
'hELLO wORLD'|capitalize
'hello wORLD-foo (bar) x_y'|title
'hello wORLD-foo it\\'s'.title()
uni|upper
uni|lower
'ß straße'|upper
'ΑΒΓ'|lower
text|trim
text|trim == text.strip()
'xxhixx'|trim('x')
'--a-b--'|trim('-')
text.lstrip()
text.rstrip()
'xyhixy'.strip('xy')
'xyhixy'.lstrip('xy')
'xyhixy'.rstrip('yx')
'żaż'.strip('ż')
'\\u00a0a\\u2003'.strip()|length
'a b  c'.split()
'a b  c'.split(' ')
'a,b,c'.split(',', 1)
'a,b,c'.rsplit(',', 1)
'a  b c'.split(none, 1)
'a  b c '.rsplit(none, 1)
''.split()
''.split(',')
'a'.split('')
'a\\nb\\r\\nc\\n'.splitlines()
'a-b-c'.partition('-')
'a-b-c'.rpartition('-')
'abc'.partition('x')
'abc'.rpartition('x')
'abc'.startswith('ab')
'abc'.endswith('bc')
'abc'.startswith(('x', 'a'))
'abc'.startswith('')
'abc'.startswith(1)
'abcabc'.find('c')
'abcabc'.find('c', 3)
'abcabc'.find('x')
'abcabc'.rfind('c')
'abcabc'.index('b')
'abc'.index('x')
'漢字漢'.find('字')
'aXbX'.replace('X', '--')
'aXbX'.replace('X', '--', 1)
'abc'.replace('', '-')
'漢'.replace('', '-')
'aaa'.count('a')
'aaaa'.count('aa')
'abc'.count('')
'-'.join(['a', 'b'])
'-'.join([1])
'-'.join('abc')
'abc'.upper()
'ABC'.lower()
'abc dEF'.capitalize()
'aBc'.swapcase()
'a'.center(4, '*')
'ab'.center(5, '*')
'a'.ljust(3) + '|'
'a'.rjust(3)
'7'.zfill(3)
'-7'.zfill(4)
'prefix-x'.removeprefix('prefix-')
'x.txt'.removesuffix('.txt')
'123'.isdigit()
'12a'.isdigit()
''.isdigit()
'abc'.isalpha()
'éa漢'.isalpha()
'a1'.isalnum()
' \\t'.isspace()
'ABC'.isupper()
'abc'.islower()
'Abc Def'.istitle()
'abc'.isidentifier()
'{} and {}'.format(1, 'b')
'{0}{1}{0} {x}'.format('a', 'b', x=3)
'{{}}'.format()
'%s is %d' % ('a', 3)
'%s' % 'x'
'%s' % [1]
'%5.2f|%-5s|%05d|%x' % (3.14159, 'ab', 42, 255)
'%(a)s-%(b)s' % {'a': 1, 'b': 2}
'%d' % 'x'
'%s %s' % 'x'
'%s'|format('x')
'%s-%s'|format(1, 2)
'100%%' % ()
words|join
words|join(', ')
numbers|join('-')
users|join(', ', attribute='name')
words|first
words|last
[]|first
[]|first is defined
[]|last
name|first
name|last
'abc'|list
d|list
5|list
words|reverse|list
'añb'|reverse
words|sort
words|sort(case_sensitive=true)
words|sort(reverse=true)
numbers|sort
numbers|sort(true)
[1, 'a']|sort
users|sort(attribute='age')|map(attribute='name')|list
users|sort(attribute='age,name')|map(attribute='name')|list
users|sort(attribute='meta.id')|map(attribute='name')|list
words|unique|list
words|unique(case_sensitive=true)|list
users|unique(attribute='age')|map(attribute='name')|list
numbers|min
numbers|max
words|max
[]|max
users|min(attribute='age')
numbers|sum
users|sum(attribute='age')
users|map(attribute='age')|sum
[[1], [2]]|sum(start=[])
words|map('upper')|list
words|map('replace', 'p', 'P')|join(' ')
users|map(attribute='tags')|list
users|map(attribute='tags', default='none')|list
users|map(attribute='meta.id')|list
nested|map('length')|list
nested|map(attribute=0)|list
words|map('nosuch')|list
words|map|list
words|select|list
[0, 1, '', 'a', none]|select|list
[0, 1, '', 'a', none]|reject|list
numbers|select('odd')|list
numbers|select('gt', 2)|list
numbers|reject('in', [1, 2])|list
numbers|select('divisibleby', 3)|list
users|selectattr('tags')|map(attribute='name')|list
users|selectattr('tags', 'defined')|map(attribute='name')|list
users|selectattr('age', 'equalto', 30)|map(attribute='name')|list
users|selectattr('age', '==', 30)|list|length
users|rejectattr('age', 'gt', 26)|map(attribute='name')|list
users|rejectattr('tags')|map(attribute='name')|list
users|selectattr('meta.id', 'ge', 5)|map(attribute='name')|join(',')
(users|selectattr('age', 'gt', 100)) is iterable
(users|selectattr('age', 'gt', 100)) and 'truthy'
users|selectattr('age', 'gt', 26)|length
(users|selectattr('age', 'gt', 26))[0]
(users|selectattr('age', 'gt', 26)|first).name
users|groupby('age')|map('first')|list
users|groupby('age')|map('last')|map('map', attribute='name')|map('list')|list
numbers|batch(2)|list
numbers|batch(3, 0)|list
'42'|int
'42.9'|int
'x'|int
'x'|int(5)
'0x1A'|int(base=16)
3.9|int
-3.9|int
true|int
none|int
''|int
' 12 '|int
'3.5'|float
'x'|float
'1e3'|float
5|float
n|string + 'x'
-5|abs
'x'|abs
missing|default('d')
missing|d('d')
empty|default('d')
empty|default('d', true)
nothing|default('d')
no|default('d', boolean=true)
missing|default
html|e
html|escape
html|safe
html|forceescape
lines|indent
lines|indent(2)
lines|indent(2, true)
lines|indent(2, blank=true)
lines|indent('> ', true)
lines|wordcount
'a bc-d e_f'|wordcount
'hello world this is long'|truncate(12)
'hello world this is long'|truncate(12, true)
'hello world'|truncate(5, true, '..', 0)
'abc'|center(9)
d|attr('b')
'abc'|replace('b', 'X')
'aaa'|replace('a', 'b', 2)
5|replace(5, 6)
d|tojson
users|tojson
users[0]|tojson(indent=2)
{'a': [], 'b': {}, 'c': [1, [2]]}|tojson(indent=4)
uni|tojson
uni|tojson(ensure_ascii=true)
quote|tojson
html|tojson
[1.0, 1e100, 0.1, 1e-7, 5]|tojson
{'b': 1, 'a': 2}|tojson(sort_keys=true)
{'b': 1, 'a': 2}|tojson(separators=(',', ':'))
{1: 'a', none: 2, true: 3, 1.5: 4}|tojson
(1, 2)|tojson
missing|tojson
words|map('upper')|tojson
none|tojson
'a\\u2028b'|tojson
quote
[quote]
[uni, '\\u0301', '\\u00ad']
['it\\'s', "say \\"x\\"", 'both \\' and \\"']
[1.0, 1e20, -0.0, 1e-5]
{'k': none, 'f': false}
name is defined
missing is defined
missing is not defined
missing is undefined
name is string
n is number
x is number
true is number
n is integer
true is integer
x is float
true is boolean
n is boolean
true is true
1 is true
false is false
d is mapping
words is mapping
words is sequence
name is sequence
d is sequence
n is sequence
missing is sequence
words is iterable
missing is iterable
n is iterable
d.items() is sequence
range is callable
none is none
n is odd
n is even
n is divisibleby 7
n is divisibleby(3)
n is eq 7
n is ne 7
n is gt 5
n is lt 5
n is ge 7
n is le 6
n is equalto 7
n is sameas 7
none is sameas none
n is in [1, 7]
n is not in [1, 7]
'a' is in 'abc'
'ABC' is upper
'abc' is lower
'x' is nosuchtest
name|nosuchfilter
'upper' is filter
'odd' is test
x is odd
missing is odd
not n is odd
n is not odd and yes
range(5)|list
range(2, 8, 3)|list
range(5, 0, -2)|list
range(0)|list
range(3)[1]
range(1000000)|list|length
range('a')
dict(a=1, b=2)
dict([('a', 1), ('b', 2)])
dict({'a': 1}, b=3)
namespace(a=1).a
namespace(a=1).b is defined
joiner(',')()
raise_exception('custom: ' ~ name)
strftime_now('%Y-%m-%d')
strftime_now('%d %b %Y, %H:%M:%S %A %j %p %%')
strftime_now('')
nosuchfunction()
name()
name.nosuch()
d.b.c.d
[1, 2, 3,]
[1, 2, 3][1:][0]
'abc'[1:].upper()
('a' ~ 'b').upper()
-1|string ~ 'x'
(n > 5) ~ ''
[n > 5, n < 5]
[n,x]|map('string')|join(';')
'a,b'.split(',')[1]
{'a': {'b': {'c': 'deep'}}}.a.b.c
(1 if yes else 2) + 3
words[n - 6]
'%s' % none
'\\ud83d' is string
'é' < 'z'
[3, 1]|sort|first
d.C|tojson
users[1].get('tags', ['none'])|join
not not yes
- - 1
+5
'abc'.foo is defined
d.items is defined
[].append is defined
none ~ none
loop is defined
loop
none|select|list
0|map('upper')|list
5|select|list
n|indent
missing|indent
missing is callable
'a' % [1]
'a' % missing
'%s' % [1, 2]
n|truncate(3)
[1, 2]|truncate(3)
missing|truncate(3)
nested|unique|list
[(1, 2), (1, 2)]|unique|list
[1] in d
nested|select|list
(1, 2)[:1]
""".strip().split("\n")

# Whole templates.
TEMPLATES = [
    # White space control.
    "a\n{% if yes %}\nb\n{% endif %}\nc\n",
    "a\n  {% if yes %}  \n  b\n  {% endif %}\nc\n\n",
    "a\n  {%- if yes %}\n  b\n  {%- endif %}\nc",
    "a\n  {% if yes -%}\n  b\n  {% endif -%}\nc",
    "a\n  {%- if yes -%}\n  b\n  {%- endif -%}\nc",
    "a\n  {%+ if yes +%}\n  b\n  {%+ endif +%}\nc",
    "x  {{- name -}}  y",
    "x  {{ name }}\n\ny",
    "x\n   {{ name }}\ny",
    "x\n{{ name -}}\n\n  y",
    "{# a comment #}\nx\n  {# indented #}\ny {# inline #} z",
    "a  {#- trimmed -#}  b",
    "a\n{#+ kept +#}\nb",
    "a {% raw %}{{ not }} {% if %}{% endraw %} b",
    "a\n  {%- raw -%}\n {{ x }} \n{%- endraw -%}\n b",
    "a\n  {% raw %}\n  x\n  {% endraw %}\nb",
    "line\r\nnext\rlast\n",
    "text only",
    "",
    "\n",
    "{{ '{{' }} }} %} #}",
    "{ { name } } {x} {% if yes %}{%endif%}",
    "{{name}}{{ {'a': {'b': 1}} }}{{ {'a':{}}['a'] }}",
    "  {% set a = 1 %}  {{ a }}",
    "\t{% set a = 1 %}\n\t{{ a }}\n\t{% if a %}\n\tx\n\t{% endif %}\n",
    "x{% set a = 1 %}\ny",
    "{{ 'multi\nline' }}",
    "\u00a0\u3000{%- if yes %}x{% endif -%}\u2003 y",
    # if
    "{% if no %}1{% elif n == 7 %}2{% else %}3{% endif %}",
    "{% if no %}1{% elif no %}2{% else %}3{% endif %}",
    "{% if no %}1{% endif %}",
    "{% if missing %}1{% else %}2{% endif %}",
    "{% if words and not empty and (nothing is none or missing) %}ok{% endif %}",
    "{% if no %}{{ name|nosuchfilter }}{% endif %}fine",
    "{% if yes %}{{ name|nosuchfilter }}{% endif %}",
    # for
    "{% for w in words %}{{ loop.index }}/{{ loop.length }}:{{ w }}{% if not loop.last %}, {% endif %}{% endfor %}",
    "{% for w in words %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }} {% endfor %}",
    "{% for w in words %}[{{ loop.previtem }}<{{ w }}>{{ loop.nextitem }}]{% endfor %}",
    "{% for w in words %}{{ loop.previtem is defined }}{{ loop.nextitem is defined }} {% endfor %}",
    "{% for w in words %}{{ loop.cycle('odd', 'even') }} {% endfor %}",
    "{% for u in users %}{{ loop.changed(u.age) }} {% endfor %}",
    "{% for u in users if u.age == 30 %}{{ loop.index }}of{{ loop.length }}{{ u.name }} {% endfor %}",
    "{% for u in users if u.age > 99 %}x{% else %}none{% endfor %}",
    "{% for x in [] %}x{% else %}empty{% endfor %}",
    "{% for x in missing %}x{% else %}undefined{% endfor %}",
    "{% for x in 5 %}x{% endfor %}",
    "{% for x in none %}x{% endfor %}",
    "{% for c in uni %}<{{ c }}>{% endfor %}",
    "{% for k in d %}{{ k }} {% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|items %}{{ k }}={{ v }};{% endfor %}",
    "{% for k, v in d|dictsort %}{{ k }}={{ v }};{% endfor %}",
    "{% for a, b in nested %}{{ a }}{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), (4, (5, 6))] %}{{ a + b + c }} {% endfor %}",
    "{% for x in 1, 2, 3 %}{{ x }}{% endfor %}",
    "{% for x in words[1:] + ['z'] %}{{ x }}{% endfor %}",
    "{% for r in nested %}{% for c in r %}{{ loop.index }}{{ c }} {% endfor %}|{{ loop.index }} {% endfor %}",
    "{% for r in nested %}{% set outer = loop %}{% for c in r %}{{ outer.index }}.{{ loop.index }} {% endfor %}{% endfor %}",
    "{% for x in numbers %}{% if x == 2 %}{% break %}{% endif %}{{ x }}{% endfor %}.",
    "{% for x in numbers %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}.",
    "{% for x in numbers %}{% for y in numbers %}{% if y == 2 %}{% break %}{% endif %}{{ y }}{% endfor %};{% endfor %}",
    "{% for x in numbers %}{% break %}{% else %}no turn ended{% endfor %}",
    "{% for x in numbers %}{% continue %}{% else %}no turn ended{% endfor %}",
    "{% for x in numbers %}{% if loop.last %}{% break %}{% endif %}{% else %}no turn ended{% endfor %}",
    "{{ d[1:] }}",
    "{% break %}",
    "{% for x in [1, 2] %}{{ x }}{% endfor %}{{ x }}",
    "{% for i in range(3) %}{{ i }}{% endfor %}",
    "{% for loop in [1] %}{{ loop }}{% endfor %}",
    # set and scopes
    "{% set a = 1 %}{% for i in [1, 2] %}{{ a }}{% set a = a + i %}{{ a }} {% endfor %}{{ a }}",
    "{% set ns = namespace(a=1, b=[]) %}{% for i in [1, 2] %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}",
    "{% set ns = namespace() %}{% set ns.x = 'y' %}{{ ns.x }}{{ ns.z is defined }}",
    "{% set d.x = 1 %}",
    "{% set missing.x = 1 %}",
    "{% set a, b = 1, 2 %}{{ b }}{{ a }}",
    "{% set a, b = [1] %}",
    "{% set a = 1, 2 %}{{ a }}",
    "{% if yes %}{% set a = 'in if' %}{% endif %}{{ a }}",
    "{% set name = 'Eve' %}{{ name }}",
    "{% set a %}x {{ name }}\n{% endset %}[{{ a }}]",
    "{% set a | upper | replace('A', '_') %}x {{ name }}{% endset %}[{{ a }}]",
    "{% set a %}{% set inner = 1 %}{% endset %}{{ inner is defined }}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% set a = 5 %}{{ a }}{% endwith %}{{ a is defined }}",
    "{% with %}{% set q = 1 %}{{ q }}{% endwith %}{{ q is defined }}",
    "{% set x = x + 1 %}{{ x }}",
    "{% set true = 1 %}",
    # macros
    "{% macro m(a, b=2, c='z') %}{{ a }}{{ b }}{{ c }}{% endmacro %}{{ m(1) }} {{ m(1, 3) }} {{ m(1, c='q') }} {{ m(a=9) }}",
    "{% macro m(a) %}{{ a is defined }}{% endmacro %}{{ m() }}",
    "{% macro m(a) %}x{% endmacro %}{{ m(1, 2) }}",
    "{% macro m(a) %}x{% endmacro %}{{ m(b=2) }}",
    "{% macro m(a) %}x{% endmacro %}{{ m(1, a=2) }}",
    "{% macro m(a, b=a) %}{{ b }}{% endmacro %}{{ m(4) }}",
    "{% macro m() %}\n  x\n{% endmacro %}[{{ m() }}]",
    "{% macro fact(k) %}{% if k <= 1 %}1{% else %}{{ k * (fact(k - 1)|int) }}{% endif %}{% endmacro %}{{ fact(5) }}",
    "{% set g = 1 %}{% macro m() %}{{ g }}{% endmacro %}{% set g = 2 %}{{ m() }}",
    "{% macro m() %}{% set inner = 3 %}{{ inner }}{% endmacro %}{{ m() }}{{ inner is defined }}",
    "{% macro outer() %}{{ inner(2) }}{% endmacro %}{% macro inner(x) %}<{{ x }}>{% endmacro %}{{ outer() }}",
    "{% for i in [1, 2] %}{% macro m() %}{{ i }}{% endmacro %}{{ m() }}{% endfor %}",
    "{% macro m() %}{{ caller() }}!{{ caller() }}{% endmacro %}{% call m() %}hi {{ name }}{% endcall %}",
    "{% macro m(xs) %}{% for x in xs %}{{ caller(x) }};{% endfor %}{% endmacro %}{% call(x) m([1, 2]) %}<{{ x }}>{% endcall %}",
    "{% macro m() %}{{ loop is defined }}{% endmacro %}{% for i in [1] %}{{ m() }}{% endfor %}",
    "{{ m() }}{% macro m() %}x{% endmacro %}",
    "{% macro m() %}x{% endmacro %}{{ m()|upper ~ m() }}{{ m is callable }}",
    # filter blocks, generation
    "{% filter upper %}abc {{ name }}{% endfilter %}",
    "{% filter replace('a', 'b')|upper %}banana{% endfilter %}",
    "{% filter indent(2) %}a\nb{% endfilter %}",
    "a{% generation %}b {{ name }}{% set q = 1 %}{% endgeneration %}c{{ q is defined }}",
    "{%- generation -%}  b  {%- endgeneration -%}",
    # joiner, namespaces in lists
    "{% set j = joiner(', ') %}{% for w in words %}{{ j() }}{{ w }}{% endfor %}",
    "{% set ns = namespace(list=[]) %}{% for w in words %}{% set ns.list = ns.list + [w|upper] %}{% endfor %}{{ ns.list }}",
    "{% set ns = namespace(text='') %}{% for u in users %}{% set ns.text = ns.text ~ u.name ~ (', ' if not loop.last else '.') %}{% endfor %}{{ ns.text }}",
    # syntax errors
    "{% if %}x{% endif %}",
    "{% if yes %}x",
    "{% endif %}",
    "{% for x words %}{% endfor %}",
    "{{ name",
    "{{ }}",
    "{{ name name }}",
    "{{ (1 }}",
    "{{ 'abc }}",
    "{{ [1, 2 }}",
    "{{ 1 + }}",
    "{{ a..b }}",
    "{{ a[1, 2] }}",
    "{{ f(a=1, 2) }}",
    "{# never closed",
    "{% raw %} never closed",
    "{% nosuchtag %}",
    "{% set = 1 %}",
    "{% macro %}{% endmacro %}",
    "{{ '\\x4' }}",
    "{{ ] }}",
    "{{ $ }}",
    "{% if yes %}{% else %}{% elif no %}{% endif %}",
    # A few idioms of published templates.
    "{%- for m in users %}{%- if (loop.index0 % 2 == 0) != (m.age == 30) %}{{- raise_exception('roles must alternate') }}{%- endif %}{%- endfor %}",
    "{%- set loop_messages = users[1:] if users[0]['name'] == 'Bo' else users %}{{ loop_messages|length }}",
    "{{- '<|x|>' + (users[0]['name'] | trim) + '<|eot|>\\n' }}",
    "{%- if users is string %}s{%- elif users is iterable and users is not mapping %}i{% endif %}",
    "{%- set parts = 'a</think>b'.split('</think>') %}{{ parts[-1].lstrip('\\n') }}{{ parts[0].split('<think>')[-1] }}",
    "{%- set ns = namespace(last=users|length - 1, found=false) %}{%- for m in users[::-1] %}{%- set index = (users|length - 1) - loop.index0 %}{%- if not ns.found and m.age == 25 %}{%- set ns.found = true %}{%- set ns.last = index %}{%- endif %}{%- endfor %}{{ ns.last }}",
    "{{ users | map(attribute='name') | map('lower') | sort | join(' < ') }}",
    "{% for u in users %}{{ u.name.ljust(4, '.') }}{{ '%3d' % u.age }}\n{% endfor %}",
    "{{ (users|first).meta | tojson }}{{ (users|last).tags | tojson }}",
    "{% set x = {'type': 'object', 'properties': {'q': {'type': ['string', 'null']}}} %}{% for k, v in x.properties.items() %}{{ k }}:{{ v.type|join('|') }}{{ v.type is not string }}{% endfor %}",
]
